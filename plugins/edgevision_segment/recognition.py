"""The description of a segmentation network, from its outputs and what its caller states."""

from __future__ import annotations

from edgevision.tasks.api import MissingOptionError, NetworkFacts, OptionError, TensorSpec
from edgevision_segment.description import SegmentTask


def described(network: NetworkFacts) -> SegmentTask:
    """The description of a network.

    Raises:
        MissingOptionError: which output it is, or what that holds, is neither in the network nor stated.
        OptionError: an option contradicts the network.
    """
    options, spec = network.options.task_options, chosen_output(network)
    if spec is None:
        names = ", ".join(f"'{one.name}'" for one in network.outputs)
        raise MissingOptionError(
            network.where, f"the model has the outputs {names}; pass --output-name with that of the classes"
        )
    axis = options.get("axis", "last")
    channels = spec.shape[-1 if axis == "last" else 1]
    values = options.get("values") or _values(network, spec, channels)
    task = SegmentTask(spec.name, values, axis, options.get("threshold", 0.5))
    if values == "softmax" and channels == 1:
        raise OptionError(
            f"{network.where}: the softmax of a single channel is always 1; for a mask pass --scores "
            "sigmoid, or logits"
        )
    return task


def chosen_output(network: NetworkFacts) -> TensorSpec | None:
    """The output that was named, or the only one; `None` if several are left."""
    name = network.options.output
    named = [spec for spec in network.outputs if name in (None, spec.name)]
    return named[0] if len(named) == 1 else None


def _values(network: NetworkFacts, spec: TensorSpec, channels: int | None) -> str:
    if len(spec.shape) == 3 or ("int" in spec.dtype and spec.quantization is None):
        return "classes"
    kind = network.options.score_kind or network.score_kinds.get(spec.name)
    if kind is None:
        raise MissingOptionError(
            network.where,
            f"output '{spec.name}': cannot infer whether it holds scores or logits; pass --scores softmax, "
            "sigmoid, or logits",
        )
    if kind in ("logits", "linear"):
        return "sigmoid-logits" if channels == 1 else "logits"
    return kind
