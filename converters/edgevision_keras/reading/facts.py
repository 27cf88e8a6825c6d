"""Facts inferred from a source's graph: the value range of its pixels, the kinds of its scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.converter import SourceFacts
from edgevision.tensors import Array
from edgevision_keras.graph.operations import depends_on_input, layer_of
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.reading.channel_order import reordered
from edgevision_keras.reading.scores import score_kinds

_AFFINE = frozenset({"Mul", "AddV2", "Add", "Sub", "RealDiv", "Div", "BiasAdd"})
_PASSING = frozenset({"Identity", "Cast", "ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea"})
#: Ranges that networks are trained on.
_NETWORK_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5))


@dataclass(frozen=True)
class _Affine:
    """The first layers up to one of them, as ``input * factor + offset`` per channel."""

    layer: str
    factor: Array
    offset: Array


def find_facts(trace: Trace, layer_names: Collection[str]) -> SourceFacts:
    """Infer the facts of a source from its frozen graph.

    Args:
        trace: the graph of the source.
        layer_names: names of its layers; empty if unknown.
    """
    takes_image = len(trace.inputs) == 1 and len(trace.inputs[0].shape) == 4
    steps = list(_first_steps(trace, layer_names)) if takes_image else []
    pixel_range, reason = _pixel_range(steps)
    kinds = score_kinds(trace)
    first = kinds.get(trace.outputs[0].name)
    return SourceFacts(pixel_range, reason, "logits" if first == "linear" else first, kinds)


def _first_steps(trace: Trace, layer_names: Collection[str]) -> Iterator[_Affine]:
    """The affine operations that follow the input, each together with those before it."""
    tf = require_tensorflow()
    source = trace.frozen.inputs[0]
    shape = trace.inputs[0].with_batch(1)
    tensor = source
    while True:
        in_another_order = reordered(trace, tensor)
        if in_another_order is not None:
            tensor = in_another_order
            continue
        following = [op for op in tensor.consumers() if op.type not in ("Shape", "NoOp")]
        if len(following) != 1 or not _is_affine(following[0], tensor):
            return
        tensor = following[0].outputs[0]
        if following[0].type in _AFFINE:
            until = trace.frozen.prune(source, tensor)
            black, white = (
                np.asarray(until(tf.constant(value, tf.float32, shape)), np.float64)[0, 0, 0]
                for value in (0.0, 1.0)
            )
            yield _Affine(layer_of(tensor.op.name, layer_names), white - black, black)


def _is_affine(operation: Any, tensor: Any) -> bool:
    others = [other for other in operation.inputs if other is not tensor]
    if operation.type in ("RealDiv", "Div", "Cast") and operation.inputs[0] is not tensor:
        return False
    if operation.type == "Cast" and not operation.outputs[0].dtype.is_floating:
        return False
    return operation.type in _AFFINE | _PASSING and not any(depends_on_input(other, {}) for other in others)


def _pixel_range(steps: list[_Affine]) -> tuple[tuple[float, float] | None, str]:
    for step in reversed(steps):
        rescaled = _rescaled_range(step)
        if rescaled is not None:
            (low, high), (new_low, new_high) = rescaled
            return (low, high), f"layer '{step.layer}' maps {low:g}…{high:g} to {new_low:g}…{new_high:g}"
    return _normalized_range(steps[-1]) if steps else (None, "")


def _rescaled_range(step: _Affine) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """(range at the input, range after the step), if the latter is one that networks are trained on."""
    factor, offset = float(step.factor.flat[0]), float(step.offset.flat[0])
    uniform = np.allclose(step.factor, factor) and np.allclose(step.offset, offset, atol=1e-6)
    if not uniform or factor <= 0 or (factor == 1 and offset == 0):
        return None
    for new_low, new_high in _NETWORK_RANGES:
        low, high = (_round(new_low - offset, factor), _round(new_high - offset, factor))
        if low == 0 and high == 127.5:  # 1/127.5, written without the offset of -1
            return (0.0, 255.0), (0.0, 2.0)
        if (low == 0 and high >= 1) or (low, high) == (-1, 1):
            return (low, high), (new_low, new_high)
    return None


def _round(value: float, factor: float) -> float:
    """`value / factor`, rounded to 255 from 254 to 256: some models divide by 128 or 256."""
    ratio = value / factor
    for usual in (255.0, 127.5):
        if abs(ratio - usual) <= usual * 0.005:
            return usual
    return round(ratio, 2) + 0.0


def _normalized_range(step: _Affine) -> tuple[tuple[float, float] | None, str]:
    """The range that contains the means that are subtracted."""
    uniform = np.allclose(step.factor, step.factor.flat[0]) and np.allclose(step.offset, step.offset.flat[0])
    if step.factor.size > 1 and uniform:
        return None, ""  # an unusual rescaling, not statistics of channels
    if np.any(step.factor <= 0) or (np.all(step.factor == 1) and np.all(step.offset == 0)):
        return None, ""
    means, deviations = -step.offset / step.factor, 1 / step.factor
    reason = f"layer '{step.layer}' subtracts {_numbers(means)} and divides by {_numbers(deviations)}"
    if means.min() >= 0 and means.max() > 1 and means.max() <= 255:
        return (0.0, 255.0), reason
    if means.min() >= 0 and means.max() <= 1 and deviations.max() < 1:
        return (0.0, 1.0), reason
    if means.min() >= -1 and means.max() <= 1 and deviations.max() < 1:
        return (-1.0, 1.0), reason
    return None, ""


def _numbers(values: Array) -> str:
    return ", ".join(f"{value:.4g}" for value in np.unique(np.round(values, 6)))
