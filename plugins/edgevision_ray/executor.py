"""TODO."""


class RayExecutor:
    name = "ray"
    summary = "the machines of a Ray cluster"
    unit_size = 32

    def run(self, work, units, workers):
        raise NotImplementedError
