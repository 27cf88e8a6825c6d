"""Ranges of pixels, and of what is scaled from them before the first layer.

Pixels have 256 values. Scaled to -1 to 1, each is exactly between two levels of int8, because zero is a
level: rounded to even, pairs of neighbours become equal and others two steps apart. With 254 steps between
the ends instead of 255, the errors are a third and nearly the same for neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.quantization.folded_network import FoldedNetwork
from edgevision_keras.quantization.folding import FoldedGraph, in_topological_order
from edgevision_keras.quantization.images import Batch
from edgevision_keras.quantization.ranges import Range

_LEVELS = 255
#: Numbers of steps that are tried between the smallest and the largest value.
_STEPS = range(255, 247, -1)
#: Fewer steps must reduce the squared error to this share: they are good for half a step's offset, which
#: has three times the error of arbitrary values, and of no use to these.
_WORTHWHILE = 0.75
#: Values of one tensor that the error is computed on.
_MOST_VALUES = 200_000
#: Operations that move or scale values, each by itself.
_SCALING = frozenset(
    (
        *("Add", "AddV2", "BiasAdd", "Cast", "ConcatV2", "ExpandDims", "FusedBatchNormV3", "Identity", "Mul"),
        *("Pack", "Pad", "PadV2", "RealDiv", "Reshape", "Squeeze", "StridedSlice", "Sub", "Transpose"),
    )
)


def pixel_ranges(
    folded: FoldedGraph, measured: Sequence[str], images: Sequence[Batch], *, symmetric: bool = False
) -> dict[str, Range]:
    """Name of a tensor -> its range, for the inputs and what is scaled from them.

    Args:
        folded: the graph.
        measured: names of the tensors that get ranges.
        images: calibration images.
        symmetric: from -x to x, in 254 steps.
    """
    scaled = _scaled_inputs(folded)
    names = [name for name in measured if name in scaled]
    values: dict[str, list[Array]] = {name: [] for name in names}
    for tensors in FoldedNetwork(folded).tensors(names, iter(images)):
        for name, array in tensors.items():
            values[name].append(array.ravel())
    return {
        name: _symmetric(parts) if symmetric else least_error_range(np.concatenate(parts))
        for name, parts in values.items()
    }


def least_error_range(values: Array) -> Range:
    """The range, zero among its 256 levels, that rounds `values` with the least squared error.

    All values are in it, but for half a step.

    Args:
        values: (n,) numbers.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if low == high:
        return low, high
    sample = values[:: max(1, len(values) // _MOST_VALUES) | 1].astype(np.float64)
    candidates = [_with_zero(low, high, steps) for steps in _STEPS]
    errors = [_error(sample, *ends) for ends in candidates]
    best = int(np.argmin(errors))
    return candidates[best] if errors[best] <= _WORTHWHILE * errors[0] else (low, high)


def _symmetric(parts: Sequence[Array]) -> Range:
    most = max(float(np.abs(part).max()) for part in parts)
    return -most, most


def _with_zero(low: float, high: float, steps: int) -> Range:
    step = (high - low) / steps
    zero = round(-low / step)
    return -zero * step, (_LEVELS - zero) * step


def _error(values: Array, low: float, high: float) -> float:
    step = (high - low) / _LEVELS
    rounded = np.clip(np.rint(values / step), round(low / step), round(high / step)) * step
    return float(np.mean((values - rounded) ** 2))


def _scaled_inputs(folded: FoldedGraph) -> set[str]:
    """Names of the tensors that are the inputs, or are scaled from nothing else."""
    layers = {layer.output for layer in folded.layers}
    graph = folded.imported()
    scaled = set(folded.inputs)
    for operation in in_topological_order(graph):
        if operation.type in _SCALING and any(tensor.name in scaled for tensor in operation.inputs):
            scaled.update(tensor.name for tensor in operation.outputs if tensor.name not in layers)
    return scaled
