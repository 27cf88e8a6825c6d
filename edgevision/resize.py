"""Resize images into memory that is there, with the geometry and pixel centres of ``tf.image.resize``."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Indices = NDArray[np.intp]


def resize_into(image: Pixels, out: Pixels, mode: str, interpolation: str, pad_value: int) -> None:
    """Resize an image into `out`.

    Args:
        image: (h, w, c) or (h, w) uint8.
        out: (H, W, c) or (H, W) uint8, as many channels as `image`; written whole.
        mode: one of `edgevision.preprocess.RESIZE_MODES`.
        interpolation: one of `edgevision.preprocess.INTERPOLATIONS`.
        pad_value: of the borders that ``letterbox`` leaves.
    """
    image_wh, out_wh = _size_wh(image), _size_wh(out)
    if mode == "center-crop":
        left, top, width, height = center_crop_xywh(image_wh, out_wh)
        image = image[top : top + height, left : left + width]
    elif mode == "letterbox":
        left, top, width, height = letterbox_xywh(image_wh, out_wh)
        _fill_borders(out, left, top, width, height, pad_value)
        out = out[top : top + height, left : left + width]
    _stretch(image, out, interpolation)


def letterbox_xywh(image_wh: tuple[int, int], out_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where the whole image lies in the output: left, top, width and height in the output's pixels."""
    # Single precision on purpose: ``tf.image.resize_with_pad`` floors so, and in about 3 of 100
    # sizes comes out one pixel below the exact ratio.
    wh, target_wh = np.array(image_wh, np.float32), np.array(out_wh, np.float32)
    inner = wh / (wh / target_wh).max()
    width, height = (max(1, int(size)) for size in np.floor(inner))
    left, top = (max(0, int(border)) for border in np.floor((target_wh - inner) / 2))
    return left, top, width, height


def center_crop_xywh(image_wh: tuple[int, int], out_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """What the output shows of the image: left, top, width and height in the image's pixels."""
    (width, height), (out_width, out_height) = image_wh, out_wh
    crop_width = max(1, min(width, height * out_width // out_height))
    crop_height = max(1, min(height, width * out_height // out_width))
    return (width - crop_width) // 2, (height - crop_height) // 2, crop_width, crop_height


def _size_wh(image: NDArray[Any]) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _fill_borders(out: Pixels, left: int, top: int, width: int, height: int, value: int) -> None:
    out[:top] = value
    out[top + height :] = value
    out[top : top + height, :left] = value
    out[top : top + height, left + width :] = value


def _stretch(image: Pixels, out: Pixels, interpolation: str) -> None:
    if image.shape == out.shape:
        np.copyto(out, image)
    elif interpolation == "nearest":
        _stretch_nearest(image, out)
    elif interpolation == "area":
        _stretch_area(image, out)
    else:
        cv2.resize(image, _size_wh(out), dst=out, interpolation=cv2.INTER_LINEAR)


def _stretch_nearest(image: Pixels, out: Pixels) -> None:
    # cv2.INTER_NEAREST_EXACT decides ties the other way: a tenth of the pixels at 640 to 224.
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
        # cv2.INTER_AREA averages only if both sides shrink: shrink the one, then grow the other.
        between = min(width, out_width), min(height, out_height)
        image = cv2.resize(image, between, interpolation=cv2.INTER_AREA)
    cv2.resize(image, _size_wh(out), dst=out, interpolation=cv2.INTER_AREA)
