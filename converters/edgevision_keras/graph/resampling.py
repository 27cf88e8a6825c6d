"""Resizing by fixed factors as two matrix products, which every runtime computes alike.

TFLite has no bicubic, Lanczos or antialiased resizing, ONNX no Lanczos one, and OpenVINO's bicubic one
differs at the edges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.nodes import constant
from edgevision_keras.graph.substitution import Equivalent
from edgevision_keras.libraries import require_tensorflow


def _resized(operation: Any, images: Any, *_: Any) -> Any:
    tf = require_tensorflow()
    sizes = constant(operation.inputs[1])
    if sizes is None or images.dtype != tf.float32:
        return None
    known = operation.node_def.attr
    options = {
        name: operation.get_attr(name) for name in ("align_corners", "half_pixel_centers") if name in known
    }
    resize = getattr(tf.raw_ops, operation.type)

    def along(axis: int) -> Callable[[Any], Any]:
        return lambda columns: resize(images=columns, size=np.array([sizes[axis], 1], np.int32), **options)

    return _product(images, [along(0), along(1)])


def _scaled(operation: Any, images: Any, *_: Any) -> Any:
    tf = require_tensorflow()
    sizes, scales, translations = (constant(tensor) for tensor in operation.inputs[1:])
    if sizes is None or scales is None or translations is None or images.dtype != tf.float32:
        return None
    options = {name: operation.get_attr(name) for name in ("kernel_type", "antialias")}

    def along(axis: int) -> Callable[[Any], Any]:
        return lambda columns: tf.raw_ops.ScaleAndTranslate(
            images=columns,
            size=np.array([sizes[axis], 1], np.int32),
            scale=np.array([scales[axis], 1], np.float32),
            translation=np.array([translations[axis], 0], np.float32),
            **options,
        )

    return _product(images, [along(0), along(1)])


def nearest_by_gathering(operation: Any, images: Any, *_: Any) -> Any:
    """Rows and columns picked by number, where a runtime's rounding could pick a neighbour instead."""
    tf = require_tensorflow()
    sizes, shape = constant(operation.inputs[1]), images.shape.as_list()[1:3]
    if sizes is None or None in shape or not any(new % old for new, old in zip(sizes, shape, strict=True)):
        return None
    options = {name: operation.get_attr(name) for name in ("align_corners", "half_pixel_centers")}
    for axis, (new, old) in enumerate(zip(sizes, shape, strict=True), start=1):
        with tf.Graph().as_default() as graph, tf.device("/CPU:0"):
            numbers = tf.constant(np.arange(old, dtype=np.float32).reshape(1, old, 1, 1))
            picked = tf.raw_ops.ResizeNearestNeighbor(images=numbers, size=[new, 1], **options)
        with tf.compat.v1.Session(graph=graph) as session:
            images = tf.gather(images, session.run(picked).astype(np.int32).ravel(), axis=axis)
    return images


def _product(images: Any, resize: list[Callable[[Any], Any]]) -> Any:
    """Rows and columns, each combined by a matrix; `None` for images of unknown size."""
    tf = require_tensorflow()
    _, height, width, channels = images.shape.as_list()
    if None in (height, width, channels):
        return None
    rows, columns = _matrix(resize[0], height), _matrix(resize[1], width)
    # The constants come second, as weights do: OpenVINO refuses int8 files in which they come first.
    tall = tf.matmul(tf.transpose(images, (0, 2, 3, 1)), rows.T)
    wide = tf.matmul(tf.transpose(tall, (0, 3, 2, 1)), columns.T)
    return tf.transpose(wide, (0, 1, 3, 2))


def _matrix(resize: Callable[[Any], Any], size: int) -> Array:
    """(new size, size): how much each row of the result takes from each row of the image."""
    tf = require_tensorflow()
    unit = np.eye(size, dtype=np.float32)[np.newaxis, :, np.newaxis, :]
    with tf.Graph().as_default() as graph, tf.device("/CPU:0"):
        resized = resize(tf.constant(unit))
    with tf.compat.v1.Session(graph=graph) as session:
        return np.asarray(session.run(resized))[0, :, 0, :]


#: Operation -> a function of itself and of its inputs that computes the same.
RESIZING_EQUIVALENTS: Mapping[str, Equivalent] = {
    "ResizeArea": _resized,
    "ResizeBicubic": _resized,
    "ScaleAndTranslate": _scaled,
}
