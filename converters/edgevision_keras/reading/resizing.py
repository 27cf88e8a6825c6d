"""The size that the first layers of a model resize its images to, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

#: Size of the images on which a way to resize is recognised: so narrow that no model crops nothing off.
TRIED_WH = (97, 389)

_INTERPOLATIONS = {
    "ResizeBilinear": "bilinear",
    "ResizeNearestNeighbor": "nearest",
    "ResizeArea": "area",
    "ResizeBicubic": "bicubic",
}
_KERNELS = {"triangle": "bilinear", "keyscubic": "bicubic"}
_BEFORE = frozenset(
    (
        *("Placeholder", "Const", "Identity", "Cast", "Shape", "Slice", "StridedSlice", "Pad", "PadV2"),
        *("Pack", "ConcatV2", "Mul", "AddV2", "Sub", "RealDiv", "Minimum", "Maximum", "FloorDiv", "FloorMod"),
        *("Round", "Prod", "Reshape", "ExpandDims", "Squeeze", "Fill", "Select", "SelectV2", "GatherV2"),
        *(
            "StatelessIf",
            "Less",
            "LessEqual",
            "Greater",
            "GreaterEqual",
            "Equal",
            "Floor",
            "Ceil",
            "Neg",
            "Range",
        ),
    )
)
#: Share of an image's width and height that a model which crops nothing shows.
_WHOLE = 0.85


@dataclass(frozen=True)
class Resizing:
    """How a model resizes its images.

    Attributes:
        size_wh: width and height of the result.
        resize, interpolation: in the words of `edgevision.Preprocessing`, or, for an interpolation that
            has none there, in those of TensorFlow.
    """

    size_wh: tuple[int, int]
    resize: str
    interpolation: str


def find_resizing(trace: Trace) -> Resizing | None:
    """The first operation that resizes the whole input; `None` if there is none, or one of another kind.

    Args:
        trace: the graph of a model whose only input is an image of `TRIED_WH`.
    """
    for operation in trace.frozen.graph.get_operations():
        interpolation = _interpolation(operation)
        if interpolation is not None:
            resized = operation.outputs[0]
            _, height, width, _ = resized.shape.as_list()
            if not height or not width or not _takes_everything(operation, trace.frozen.inputs[0]):
                return None
            resize = _resize(trace, resized)
            return None if resize is None else Resizing((width, height), resize, interpolation)
    return None


def _interpolation(operation: Any) -> str | None:
    if operation.type != "ScaleAndTranslate":
        return _INTERPOLATIONS.get(operation.type)
    kernel = operation.get_attr("kernel_type").decode()
    name = _KERNELS.get(kernel, kernel)
    return f"{name} with antialiasing" if operation.get_attr("antialias") else name


def _takes_everything(operation: Any, source: Any) -> bool:
    """True if nothing but crops, borders and shapes precede the operation, and nothing passes it by."""
    before: dict[str, Any] = {}
    pending = [value.op for value in operation.inputs]
    while pending:
        each = pending.pop()
        if each.name not in before:
            before[each.name] = each
            pending.extend(value.op for value in each.inputs)
    if source.op.name not in before or any(each.type not in _BEFORE for each in before.values()):
        return False
    inside = {*before, operation.name}
    images = [each for each in before.values() if each.outputs and each.outputs[0].shape.rank == 4]
    return all(
        consumer.name in inside or consumer.type == "Shape"
        for each in images
        for tensor in each.outputs
        for consumer in tensor.consumers()
    )


def _resize(trace: Trace, resized: Any) -> str | None:
    """One of `edgevision.imaging.preprocess.RESIZE_MODES`; `None` for another way."""
    tf = require_tensorflow()
    until = trace.frozen.prune(trace.frozen.inputs[0], resized)
    _, height, width, channels = trace.inputs[0].with_batch(1)

    def shown(row: Array, column: Array) -> Array:
        image = np.broadcast_to(row[:, None, None] + column[None, :, None], (1, height, width, channels))
        with tf.device("/CPU:0"):
            return np.asarray(until(tf.constant(image, tf.float32)), np.float64)

    rows, columns = np.linspace(0, 1, height), np.linspace(0, 1, width)
    plain, black = shown(rows * 0 + 1, columns * 0), shown(rows * 0, columns * 0)
    contrast = plain - black
    middle = contrast[0, contrast.shape[1] // 2, contrast.shape[2] // 2]
    if not np.allclose(contrast, middle, atol=1e-3 * float(np.abs(middle).max())):
        return "letterbox" if np.allclose(black, black.flat[0]) and black.flat[0] == 0 else None
    spans = [
        float(np.ptp(shown(*image)) / np.abs(middle).max())
        for image in ((rows, columns * 0), (rows * 0, columns))
    ]
    if min(spans) >= _WHOLE:
        return "stretch"
    return "center-crop" if max(spans) >= _WHOLE else None
