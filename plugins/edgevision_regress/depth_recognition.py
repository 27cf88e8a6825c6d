"""The description of a network that gives a map of values, from its outputs and what its caller states."""

from __future__ import annotations

from edgevision.tasks.api import MissingOptionError, NetworkFacts, TensorSpec
from edgevision_regress.depth import DepthTask
from edgevision_regress.depth_model import check_output, is_map


def described(network: NetworkFacts) -> DepthTask:
    """The description of a network.

    Raises:
        MissingOptionError: which output it is, or the range of its values, is not stated.
        OptionError: an option contradicts the network.
    """
    options, spec = network.options.task_options, map_output(network)
    if spec is None:
        names = ", ".join(f"'{one.name}' {one.describe()}" for one in network.outputs)
        raise MissingOptionError(
            network.where, f"the model has the outputs {names}; pass --output-name with that of the values"
        )
    check_output(spec)
    if "range" not in options:
        raise MissingOptionError(
            network.where,
            "the range of its values is not known; pass --task-option range='[0, 10]', in their unit",
        )
    ends = options["range"]
    return DepthTask(
        spec.name,
        tuple(ends) if isinstance(ends, (list, tuple)) else ends,
        **{
            name: options[name]
            for name in ("unit", "value", "factor", "png_step", "overlap")
            if name in options
        },
    )


def map_output(network: NetworkFacts) -> TensorSpec | None:
    """The output that was named, or the only one that is a map; `None` if several are left."""
    name = network.options.output
    if name is not None:
        return next((spec for spec in network.outputs if spec.name == name), None)
    maps = [spec for spec in network.outputs if is_map(spec)]
    return maps[0] if len(maps) == 1 else None
