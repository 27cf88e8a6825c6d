"""Resize images into existing memory, with the geometry and pixel centres of ``tf.image.resize``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Indices = NDArray[np.intp]
Resizer = Callable[[Pixels, Pixels], None]


def resizer(mode: str, interpolation: str, pad_value: float) -> Resizer:
    """A function that resizes an image (h, w, c) or (h, w) into memory (H, W, c) or (H, W), all of it.

    Both are uint8, rounded to whole values, or both float32.

    Chosen once: next to a large network, every branch per frame is a cache miss.

    Args:
        mode: one of `edgevision.imaging.preprocess.RESIZE_MODES`.
        interpolation: one of `edgevision.imaging.preprocess.INTERPOLATIONS`.
        pad_value: of the borders of ``letterbox``.
    """
    stretch = _STRETCHES[interpolation]

    def crop(image: Pixels, out: Pixels) -> None:
        left, top, width, height = center_crop_xywh(_size_wh(image), _size_wh(out))
        stretch(image[top : top + height, left : left + width], out)

    def letterbox(image: Pixels, out: Pixels) -> None:
        left, top, width, height = letterbox_xywh(_size_wh(image), _size_wh(out))
        _fill_borders(out, left, top, width, height, pad_value)
        stretch(image, out[top : top + height, left : left + width])

    def corner_letterbox(image: Pixels, out: Pixels) -> None:
        _, _, width, height = letterbox_xywh(_size_wh(image), _size_wh(out))
        _fill_borders(out, 0, 0, width, height, pad_value)
        stretch(image, out[:height, :width])

    return {
        "stretch": stretch,
        "center-crop": crop,
        "letterbox": letterbox,
        "corner-letterbox": corner_letterbox,
    }[mode]


def letterbox_xywh(image_wh: tuple[int, int], out_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """The place of the whole image in the output: left, top, width and height in the output's pixels."""
    # Single precision on purpose: ``tf.image.resize_with_pad`` rounds down in it, which for about 3 %
    # of sizes is one pixel below the exact ratio.
    wh, target_wh = np.array(image_wh, np.float32), np.array(out_wh, np.float32)
    inner = wh / (wh / target_wh).max()
    width, height = (max(1, int(size)) for size in np.floor(inner))
    left, top = (max(0, int(border)) for border in np.floor((target_wh - inner) / 2))
    return left, top, width, height


def center_crop_xywh(image_wh: tuple[int, int], out_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """The part of the image in the output: left, top, width and height in the image's pixels."""
    (width, height), (out_width, out_height) = image_wh, out_wh
    crop_width = max(1, min(width, height * out_width // out_height))
    crop_height = max(1, min(height, width * out_height // out_width))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def _size_wh(image: NDArray[Any]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _fill_borders(out: Pixels, left: int, top: int, width: int, height: int, value: float) -> None:
    out[:top] = value
    out[top + height :] = value
    out[top : top + height, :left] = value
    out[top : top + height, left + width :] = value


def _stretch_bilinear(image: Pixels, out: Pixels) -> None:
    cv2.resize(image, out.shape[1::-1], out, 0, 0, cv2.INTER_LINEAR)


def _stretch_nearest(image: Pixels, out: Pixels) -> None:
    # cv2.INTER_NEAREST_EXACT breaks ties the other way: a tenth of the pixels at 640 to 224.
    rows = image.take(_nearest(image.shape[0], out.shape[0]), axis=0)
    np.take(rows, _nearest(image.shape[1], out.shape[1]), axis=1, out=out, mode="clip")


def _nearest(size: int, out_size: int) -> Indices:
    """Index of the pixel nearest to each output pixel's centre, rounded in single precision as TensorFlow."""
    scale = np.float32(size) / np.float32(out_size)
    centres = (np.arange(out_size, dtype=np.float32) + np.float32(0.5)) * scale
    indices: Indices = centres.astype(np.intp).clip(max=size - 1)
    return indices


def _stretch_area(image: Pixels, out: Pixels) -> None:
    (width, height), (out_width, out_height) = _size_wh(image), _size_wh(out)
    if (width - out_width) * (height - out_height) < 0:
        # cv2.INTER_AREA averages only if both sides shrink: shrink one, then enlarge the other.
        between = min(width, out_width), min(height, out_height)
        image = cv2.resize(image, between, interpolation=cv2.INTER_AREA)
    cv2.resize(image, _size_wh(out), dst=out, interpolation=cv2.INTER_AREA)


_STRETCHES: dict[str, Resizer] = {
    "nearest": _stretch_nearest,
    "bilinear": _stretch_bilinear,
    "area": _stretch_area,
}
