"""Images of ROS messages (`sensor_msgs/Image` and `sensor_msgs/CompressedImage`) as frames for a model."""

from __future__ import annotations

import re
import sys
from array import array
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import MAX_PIXELS, decode_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.yuv import YuvFrame
from edgevision.system.arguments import one_of, text, whole_number
from edgevision.system.shown import shown
from edgevision.tensors import MAX_SIDE


class _Encoding(NamedTuple):
    """Layout of the pixels of an encoding of sensor_msgs.

    Attributes:
        channels: numbers per pixel.
        bits: per number.
        color: ``rgb``, ``bgr``, ``gray``, or the pattern of a mosaic; empty where the encoding does not say.
    """

    channels: int
    bits: int
    color: str


# sensor_msgs/include/sensor_msgs/image_encodings.hpp
_ENCODINGS = {
    "rgb8": _Encoding(3, 8, "rgb"),
    "rgba8": _Encoding(4, 8, "rgb"),
    "rgb16": _Encoding(3, 16, "rgb"),
    "rgba16": _Encoding(4, 16, "rgb"),
    "bgr8": _Encoding(3, 8, "bgr"),
    "bgra8": _Encoding(4, 8, "bgr"),
    "bgr16": _Encoding(3, 16, "bgr"),
    "bgra16": _Encoding(4, 16, "bgr"),
    "mono8": _Encoding(1, 8, "gray"),
    "mono16": _Encoding(1, 16, "gray"),
    "8UC1": _Encoding(1, 8, "gray"),
    "8UC3": _Encoding(3, 8, ""),
    "8UC4": _Encoding(4, 8, ""),
}
#: OpenCV names a pattern by its second row; ROS by its first.
_BAYER = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
_MOSAICS = {f"{name}{bits}": _Encoding(1, bits, name) for name in _BAYER for bits in (8, 16)}
_YUV = {
    "yuv422": "uyvy",
    "uyvy": "uyvy",
    "yuv422_yuy2": "yuyv",
    "yuyv": "yuyv",
    "nv12": "nv12",
    "nv21": "nv21",
}
_ORDERS = ("rgb", "bgr")
_DEPTH = re.compile(r"16UC1|32FC1|compressedDepth")


def read_image_message(message: Any, *, color: str | None = None) -> Frame | YuvFrame:
    """An image of ROS in a form that every model accepts.

    Args:
        message: a ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``, or any object with its fields.
            Padded rows, both byte orders, 8 and 16 bits, Bayer patterns and YUV are read; alpha is left out.
            The pixels may share the memory of the message.
        color: ``rgb`` or ``bgr``, for the encodings ``8UC3`` and ``8UC4``, which do not say it.

    Raises:
        InputError: the fields are not those of such a message, contradict each other, or hold no picture:
            depth, or an encoding that is not known.
        OptionError: a field has another type, or `color` is another word or contradicts the encoding.
    """
    if color is not None:
        one_of(color, _ORDERS, "color")
    if hasattr(message, "encoding"):
        return _from_image(message, color)
    if hasattr(message, "format") and hasattr(message, "data"):
        return _from_compressed(message)
    raise InputError(
        f"message: expected a sensor_msgs Image or CompressedImage, got an object of class "
        f"{type(message).__name__:.40} without the fields 'encoding', or 'format' and 'data'"
    )


def _from_compressed(message: Any) -> Frame:
    described = text(message.format, "message: format")
    if _DEPTH.search(described):
        raise InputError(f"message: format '{described:.40}' holds distances, not a picture")
    return decode_frame(_bytes(message).tobytes(), "message")


def _from_image(message: Any, color: str | None) -> Frame | YuvFrame:
    encoding = text(message.encoding, "message: encoding")
    height, width, step = (
        whole_number(getattr(message, name, None), f"message: {name}", least=0)
        for name in ("height", "width", "step")
    )
    if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise InputError(
            f"message: expected sides of 1 to {MAX_SIDE} pixels and {MAX_PIXELS} pixels at most, got "
            f"{width} x {height}"
        )
    yuv = _YUV.get(encoding)
    if yuv is not None:
        return YuvFrame(_bytes(message), yuv, size_wh=(width, height), stride=step or None)
    mosaic = _MOSAICS.get(encoding)
    layout = mosaic or _known(encoding, color)
    big_endian = bool(getattr(message, "is_bigendian", False))
    pixels = _pixels(_bytes(message), layout, (height, width), step, big_endian)
    if mosaic is not None:
        return Frame(cv2.cvtColor(pixels, _BAYER[mosaic.color]), "rgb", "message")
    return Frame(pixels[:, :, :3] if layout.channels == 4 else pixels, layout.color, "message")


def _known(encoding: str, color: str | None) -> _Encoding:
    """The layout of an encoding, with the order of its colours.

    Raises:
        InputError: it is unknown, holds no picture, or does not say the order, and `color` does not either.
        OptionError: `color` contradicts it.
    """
    if _DEPTH.fullmatch(encoding):
        raise InputError(
            f"message: encoding '{encoding}' holds distances, not a picture; a grey image is mono16"
        )
    layout = _ENCODINGS.get(encoding)
    if layout is None:
        known = ", ".join((*_ENCODINGS, *_MOSAICS, *_YUV))
        raise InputError(f"message: encoding '{encoding:.40}' is not known; expected one of {known}")
    if layout.color:
        if color is not None and layout.color not in ("gray", color):
            raise OptionError(f"color: '{color}' contradicts the message's encoding '{encoding}'; omit it")
        return layout
    if color is None:
        raise InputError(
            f"message: encoding '{encoding}' does not say the order of its colours; pass color='rgb' or "
            f"color='bgr'"
        )
    return layout._replace(color=color)


def _pixels(
    data: NDArray[np.uint8], layout: _Encoding, size_hw: tuple[int, int], step: int, big_endian: bool
) -> NDArray[Any]:
    """The numbers of an image: (h, w) or (h, w, channels), uint8 or uint16, in the machine's byte order."""
    height, width = size_hw
    row = width * layout.channels * layout.bits // 8
    step = step or row
    needed = step * (height - 1) + row
    if step < row or len(data) < needed:
        raise InputError(
            f"message: {width} x {height} pixels of {layout.channels} times {layout.bits} bits in rows of "
            f"{step} bytes take at least {max(row, needed)} bytes, got {len(data)} and rows of {step}"
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step * data.strides[0], data.strides[0]))
    if step != row or layout.bits != 8:
        rows = np.ascontiguousarray(rows)
    pixels: NDArray[Any] = rows if layout.bits == 8 else rows.view(np.uint16)
    if layout.bits == 16 and big_endian != (sys.byteorder == "big"):
        pixels = pixels.byteswap()
    return pixels if layout.channels == 1 else pixels.reshape(height, width, layout.channels)


def _bytes(message: Any) -> NDArray[np.uint8]:
    """The data of a message, (n,) uint8, without a copy if it is an array or has a buffer."""
    data = getattr(message, "data", None)
    if isinstance(data, np.ndarray) and data.dtype == np.uint8:
        return data.reshape(-1)
    try:
        if isinstance(data, list):
            data = bytes(data)
        if isinstance(data, (bytes, bytearray, array)) and getattr(data, "typecode", "B") == "B":
            return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError):
        pass
    raise InputError(f"message: data: expected uint8 numbers, got {shown(data)}")
