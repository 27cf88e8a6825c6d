"""Facts inferred from a source's graph: the value range of its pixels, the kinds of its scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.converter import SourceFacts
from edgevision.tensors import Array
from edgevision_keras.graph.operations import depends_on_input, layer_of
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.reading.scores import score_kinds

_AFFINE = frozenset({"Mul", "AddV2", "Add", "Sub", "RealDiv", "Div", "BiasAdd"})
#: Operations that compute each pixel from one pixel, or from its neighbours with weights that sum to 1.
_PASSING = frozenset(
    (
        *("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims"),
        *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "ResizeBicubic", "ScaleAndTranslate"),
        *("ReverseV2", "GatherV2", "StridedSlice", "Split", "SplitV", "Unpack", "ConcatV2", "Pack"),
        *("Pad", "PadV2", "MirrorPad"),
    )
)
#: Those after which channels may be in another order.
_JOINING = frozenset({"ReverseV2", "GatherV2", "StridedSlice", "ConcatV2", "Pack"})
#: Ranges that networks are trained on.
_NETWORK_RANGES = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5))
#: The mean red, green and blue of ImageNet, as Caffe and PyTorch subtract it, in levels of 0…255.
_IMAGENET_MEANS = np.array([123.68, 116.5, 103.75])
_NEAR_MEANS = 1.5


@dataclass(frozen=True)
class _Affine:
    """The first layers up to one of them, as ``input * factor + offset`` per channel of the input.

    `order` has the channel of the input that each channel of the result is computed from.
    """

    layer: str
    factor: Array
    offset: Array
    order: tuple[int, ...]


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
    is_vector = len(trace.outputs[0].shape) < 4  # of a map, each pixel has its scores
    first = kinds.get(trace.outputs[0].name) if is_vector else None
    return SourceFacts(
        pixel_range,
        reason,
        score_kind="logits" if first == "linear" else first,
        score_kinds=kinds,
        color=None if pixel_range is None else _color(steps, pixel_range),
    )


def _first_steps(trace: Trace, layer_names: Collection[str]) -> Iterator[_Affine]:
    """The affine operations that follow the input, each together with those before it.

    Channels may be split, reversed and joined again on the way: a step ends at each tensor that everything
    behind it is computed from.
    """
    source, operations = trace.frozen.inputs[0], trace.frozen.graph.get_operations()
    known = {source.ref()}
    # A shape is known without the pixels.
    dependent = {each.name: False for each in operations if each.type in ("Shape", "ShapeN", "Size")}
    waiting = {source.ref(): _consumers(source)}
    for operation in operations:
        if operation.type not in _AFFINE | _PASSING or not _passes(operation, known, dependent):
            continue
        for value in operation.inputs:
            if value.ref() in waiting:
                waiting[value.ref()].discard(operation.name)
        for tensor in operation.outputs:
            known.add(tensor.ref())
            waiting[tensor.ref()] = _consumers(tensor)
        unfinished = [tensor for tensor, consumers in waiting.items() if consumers]
        tensor = operation.outputs[0]
        if operation.type in _AFFINE | _JOINING and unfinished == [tensor.ref()]:
            step = _affine(trace, tensor, layer_of(operation.name, layer_names))
            if step is None:
                return
            yield step


def _consumers(tensor: Any) -> set[str]:
    return {operation.name for operation in tensor.consumers() if operation.type not in ("Shape", "NoOp")}


def _passes(operation: Any, known: Collection[Any], known_dependent: dict[str, bool]) -> bool:
    """True if the only inputs that depend on the image are known, and the operation is affine in them."""
    for value in operation.inputs:
        if value.op.name not in known_dependent:
            depends_on_input(value, known_dependent)
    dependent = [place for place, value in enumerate(operation.inputs) if known_dependent[value.op.name]]
    if not dependent or any(operation.inputs[place].ref() not in known for place in dependent):
        return False
    if operation.type in ("ConcatV2", "Pack"):
        return True
    if operation.type == "Cast" and not operation.outputs[0].dtype.is_floating:
        return False
    # A constant divided by pixels is not affine, and the first input of a split is its axis.
    first = 1 if operation.type == "Split" else 0
    return len(dependent) == 1 and (operation.type in ("Mul", "Add", "AddV2", "Sub") or dependent == [first])


def _affine(trace: Trace, tensor: Any, layer: str) -> _Affine | None:
    """The step from the input to `tensor`, measured on images of one colour; `None` if it mixes channels."""
    tf = require_tensorflow()
    shape = trace.inputs[0].with_batch(1)
    channels = shape[3]
    if tensor.shape.rank != 4:
        return None
    until = trace.frozen.prune(trace.frozen.inputs[0], tensor)
    colours = np.concatenate([np.zeros((1, channels)), np.eye(channels)])
    with tf.device("/CPU:0"):
        images = [until(tf.constant(np.broadcast_to(colour, shape), tf.float32)) for colour in colours]
    black, *others = (np.asarray(image, np.float64)[0] for image in images)
    middle = (black.shape[0] // 2, black.shape[1] // 2)
    matrix = np.stack([other[middle] - black[middle] for other in others], axis=1)  # (channels, of the input)
    order = np.abs(matrix).argmax(axis=1)
    used = matrix[np.arange(len(matrix)), order]
    if len(matrix) != channels or len(set(order.tolist())) != channels or np.any(used == 0):
        return None
    if np.abs(matrix).sum() > np.abs(used).sum() * 1.001:
        return None
    inverse = np.argsort(order)
    return _Affine(layer, used[inverse], black[middle][inverse], tuple(order.tolist()))


def _color(steps: Sequence[_Affine], pixel_range: tuple[float, float]) -> str | None:
    """The channel order of the input that the subtracted means of ImageNet show."""
    low, high = pixel_range
    for step in steps:
        means = (-step.offset / step.factor - low) / (high - low) * 255
        for color, expected in (("rgb", _IMAGENET_MEANS), ("bgr", _IMAGENET_MEANS[::-1])):
            if means.shape == expected.shape and np.abs(means - expected).max() <= _NEAR_MEANS:
                return color
    return None


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
