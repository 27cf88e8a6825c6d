"""Operations that some format lacks or computes otherwise, written as others that every format has."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision_keras.graph.resampling import RESIZING_EQUIVALENTS
from edgevision_keras.graph.substitution import with_equivalents
from edgevision_keras.libraries import require_tensorflow


def with_common_operations(frozen: Any) -> Any:
    """A frozen concrete function with the same names, inputs and outputs, of operations of all formats.

    Args:
        frozen: a concrete function of constants, without function calls.
    """
    equivalents = {"ExtractImagePatches": _patches, "HSVToRGB": _hsv_to_rgb, "RGBToHSV": _rgb_to_hsv}
    return with_equivalents(frozen, {**RESIZING_EQUIVALENTS, **equivalents})


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
