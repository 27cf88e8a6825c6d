"""Preprocessing: one description, obeyed by every runtime and by the source's own run."""

from __future__ import annotations

from dataclasses import dataclass

RESIZE_MODES = ("stretch", "letterbox", "center-crop")
INTERPOLATIONS = ("nearest", "bilinear", "area")
COLORS = ("rgb", "bgr", "gray")
LAYOUTS = ("nhwc", "nchw")


@dataclass(frozen=True)
class Preprocessing:
    """From an image to a network's input tensor.

    A pixel p in 0…255 becomes ``(low + p / 255 * (high - low) - mean) / scale``, and then, for an
    integer tensor, is quantized with that tensor's own scale and zero point.

    Attributes:
        size_wh: width and height of the input tensor, in pixels.
        resize: ``stretch`` to the size; ``letterbox``: whole image, aspect kept, borders of
            `pad_value`; ``center-crop``: aspect kept, what sticks out is cut off.
        interpolation: ``nearest``, ``bilinear`` or ``area``, with pixel centres at one half, as
            ``tf.image.resize`` has it.
        color: order of the channels that the network takes: ``rgb``, ``bgr`` or ``gray``.
        value_range: (low, high): what 0 and 255 become.
        mean: subtracted, one a channel or one for all.
        scale: divided by, one a channel or one for all.
        layout: of the tensor: ``nhwc`` or ``nchw``.
        pad_value: of letterbox borders, a pixel in 0…255.
    """

    size_wh: tuple[int, int]
    value_range: tuple[float, float]
    resize: str = "stretch"
    interpolation: str = "bilinear"
    color: str = "rgb"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    layout: str = "nhwc"
    pad_value: int = 0
