"""Many images on the cores of this machine, and the costs of one run."""
