"""The description of a segmentation network, from its outputs and what its caller states."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
        names = ", ".join(f"'{one.name}' {one.describe()}" for one in network.outputs)
        raise MissingOptionError(
            network.where, f"the model has the outputs {names}; pass --output-name with that of the classes"
        )
    if not is_map(spec, network):
        raise OptionError(
            f"{network.where}: output '{spec.name}' is {spec.describe()}; expected a class for each pixel, "
            "(batch, height, width, classes), or the same flattened; pass --output-name with such an output"
        )
    grid_wh = flat_grid(spec, network)
    axis = options.get("axis") or _axis(network, spec)
    channels = spec.shape[-1 if axis == "last" else 1]
    values = options.get("values") or _values(network, spec, channels)
    threshold, overlap = options.get("threshold", 0.5), options.get("overlap")
    task = SegmentTask(spec.name, values, axis, threshold, overlap, grid_wh)
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


def is_map(spec: TensorSpec, network: NetworkFacts) -> bool:
    """True for a value, or several, at each cell of a grid over a network's input."""
    sizes = spec.shape[1:]
    if network.input_size_wh is None:
        return False
    if len(sizes) == 2:
        return _has_shape(sizes, *network.input_size_wh) or flat_grid(spec, network) is not None
    return len(sizes) == 3 and (_are_sides(sizes[:2]) or _are_sides(sizes[1:]))


def flat_grid(spec: TensorSpec, network: NetworkFacts) -> tuple[int, int] | None:
    """Width and height of the grid of an output that is flattened; `None` for one that is not.

    It has as many cells as the network's input has pixels, or blocks of as many pixels across as down.
    """
    sizes, input_wh = spec.shape[1:], network.input_size_wh
    if len(sizes) != 2 or None in sizes or input_wh is None or _has_shape(sizes, *input_wh):
        return None
    cells = int(max(size or 0 for size in sizes))
    step = math.isqrt(input_wh[0] * input_wh[1] // cells) if cells else 0
    if not step or any(side % step for side in input_wh):
        return None
    width, height = (side // step for side in input_wh)
    return (width, height) if width * height == cells else None


def _are_sides(sizes: Sequence[int | None]) -> bool:
    return all(size is None or size > 1 for size in sizes)


def _axis(network: NetworkFacts, spec: TensorSpec) -> str:
    """Where the classes are: ``first`` if the other two sizes alone have the shape of the input."""
    sizes = spec.shape[1:]
    if flat_grid(spec, network) is not None:
        return "last" if (sizes[0] or 0) > (sizes[1] or 0) else "first"
    if len(sizes) != 3 or network.input_size_wh is None:
        return "last"
    width, height = network.input_size_wh
    last, first = (_has_shape(pair, width, height) for pair in (sizes[:2], sizes[1:]))
    return "first" if first and not last else "last"


def _has_shape(sides: Sequence[int | None], width: int, height: int) -> bool:
    """True for a grid whose cells are about as wide as high."""
    rows, columns = sides
    if rows is None or columns is None:
        return True
    return _are_sides(sides) and abs(rows * width - columns * height) <= max(width, height)


def _values(network: NetworkFacts, spec: TensorSpec, channels: int | None) -> str:
    is_flat = flat_grid(spec, network) is not None
    if (len(spec.shape) == 3 and not is_flat) or ("int" in spec.dtype and spec.quantization is None):
        return "classes"
    kind = network.options.score_kind or network.score_kinds.get(spec.name)
    if kind is None:
        raise MissingOptionError(
            network.where,
            f"output '{spec.name}': cannot infer whether it holds scores or logits; pass --scores softmax, "
            "sigmoid, or logits; for class numbers --task-option values=classes",
        )
    if kind in ("logits", "linear"):
        return "sigmoid-logits" if channels == 1 else "logits"
    return kind
