"""Operations that some format lacks or computes otherwise, written as others that every format has."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision_keras.graph.complex_numbers import without_complex_numbers
from edgevision_keras.graph.nodes import constant
from edgevision_keras.graph.resampling import RESIZING_EQUIVALENTS
from edgevision_keras.graph.substitution import Equivalent, with_equivalents
from edgevision_keras.libraries import require_tensorflow


def with_common_operations(frozen: Any) -> Any:
    """A frozen concrete function with the same names, inputs and outputs, of operations of all formats.

    Args:
        frozen: a concrete function of constants, without function calls.
    """
    equivalents: dict[str, Equivalent] = {
        "Cross": _cross,
        "ExtractImagePatches": _patches,
        "HSVToRGB": _hsv_to_rgb,
        "Invert": lambda _, x: -1 - x,
        "LeftShift": _left_shift,
        "RGBToHSV": _rgb_to_hsv,
    }
    return with_equivalents(without_complex_numbers(frozen), {**RESIZING_EQUIVALENTS, **equivalents})


def with_volumes_in_groups(frozen: Any) -> Any:
    """A frozen concrete function whose convolutions of volumes have no groups.

    TensorFlow runs these on a CPU only as Keras compiles them, which a frozen graph no longer says.
    """
    return with_equivalents(frozen, {"Conv3D": _convolution_of_groups})


def _convolution_of_groups(operation: Any, volumes: Any, weights: Any) -> Any:
    """Each group as a convolution of its own: LiteRT and tf2onnx have none of volumes with groups."""
    tf = require_tensorflow()
    channels, own = volumes.shape[-1], weights.shape[-2]
    if None in (channels, own) or channels == own or operation.get_attr("data_format") != b"NDHWC":
        return None
    strides, dilations = (list(operation.get_attr(name)) for name in ("strides", "dilations"))
    padding, groups = operation.get_attr("padding").decode(), channels // own
    parts = zip(tf.split(volumes, groups, -1), tf.split(weights, groups, -1), strict=True)
    return tf.concat(
        [tf.nn.conv3d(part, weight, strides, padding, dilations=dilations) for part, weight in parts], -1
    )


def _cross(_: Any, a: Any, b: Any) -> Any:
    tf = require_tensorflow()
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        return None
    pairs = ((1, 2), (2, 0), (0, 1))
    return tf.stack([a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in pairs], axis=-1)


def _left_shift(operation: Any, x: Any, _: Any) -> Any:
    """By constants: products with powers of two."""
    places = constant(operation.inputs[1])
    if places is None or np.min(places) < 0 or np.max(places) >= 8 * x.dtype.size - 1:
        return None
    return x * np.left_shift(np.ones_like(places), places)


def _patches(operation: Any, images: Any) -> Any:
    """Patches as the channels of a convolution that copies each value."""
    tf = require_tensorflow()
    channels = images.shape[-1]
    sizes, strides, rates = (list(operation.get_attr(name))[1:3] for name in ("ksizes", "strides", "rates"))
    if channels is None or images.dtype != tf.float32:
        return None
    count = sizes[0] * sizes[1] * channels
    copies = np.eye(count, dtype=np.float32).reshape(*sizes, channels, count)
    padding = operation.get_attr("padding").decode()
    return tf.nn.conv2d(images, copies, strides, padding, dilations=rates)


def _rgb_to_hsv(_: Any, rgb: Any) -> Any:
    """As TensorFlow's kernel computes it (`tensorflow/core/kernels/image/colorspace_op.h`).

    Channels are compared with each other, not with the largest: a runtime may round only one of two equals.
    """
    tf = require_tensorflow()
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    value = tf.reduce_max(rgb, axis=-1)
    span = value - tf.reduce_min(rgb, axis=-1)
    saturation = tf.where(value > 0, span / tf.where(value > 0, value, tf.ones_like(value)), 0.0 * value)
    sixth = 1 / (6 * tf.where(span > 0, span, tf.ones_like(span)))
    hue = tf.where(
        tf.logical_and(red >= green, red >= blue),
        sixth * (green - blue),
        tf.where(green >= blue, sixth * (blue - red) + 2 / 6, sixth * (red - green) + 4 / 6),
    )
    hue = tf.where(span > 0, hue, 0.0 * hue)
    return tf.stack([tf.where(hue < 0, hue + 1, hue), saturation, value], axis=-1)


def _hsv_to_rgb(_: Any, hsv: Any) -> Any:
    """As TensorFlow's kernel computes it (`tensorflow/core/kernels/image/colorspace_op.h`)."""
    tf = require_tensorflow()
    sixths, saturation, value = hsv[..., 0] * 6, hsv[..., 1], hsv[..., 2]
    shares = (tf.abs(sixths - 3) - 1, 2 - tf.abs(sixths - 2), 2 - tf.abs(sixths - 4))
    return tf.stack(
        [(1 - saturation + saturation * tf.clip_by_value(share, 0.0, 1.0)) * value for share in shares],
        axis=-1,
    )
