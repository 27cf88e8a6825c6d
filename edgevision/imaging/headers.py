"""The size of an image from its header alone, so that a decompression bomb is never decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

#: Supported formats, with the file suffixes of each.
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WebP": (".webp",),
}

# Decoders skip bytes between two segments, and so must this.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_JPEG_SCAN_OR_END = frozenset({0xD9, 0xDA})
# Real files have tens; a crafted file of empty segments would take minutes.
_JPEG_MOST_SEGMENTS = 10_000


class ImageHeader(NamedTuple):
    """The facts in the header of an image file.

    Attributes:
        format: one of `FORMATS`.
        size_wh: width and height in pixels, before EXIF orientation.
    """

    format: str
    size_wh: tuple[int, int]


def read_header(data: bytes) -> ImageHeader | None:
    """The header of an image file, or ``None`` if the format is not supported.

    Raises:
        ValueError: the format is supported, but the header is damaged or truncated.
    """
    for name, starts, read_size in _READERS:
        if re.match(starts, data, re.DOTALL):
            try:
                size_wh = read_size(data)
            except struct.error as error:
                raise ValueError("it ends within its header") from error
            if min(size_wh) < 1:
                raise ValueError(f"its header says {size_wh[0]} x {size_wh[1]} pixels")
            return ImageHeader(name, size_wh)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    for _ in range(_JPEG_MOST_SEGMENTS):
        marker = _JPEG_MARKER.search(data, position)
        if marker is None or marker[1][0] in _JPEG_SCAN_OR_END:
            raise ValueError("its header states no size")
        position = marker.end()
        if marker[1][0] in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker[1][0] not in _JPEG_WITHOUT_LENGTH:
            position += max(2, struct.unpack_from(">H", data, position)[0])
    raise ValueError(f"its header has more than {_JPEG_MOST_SEGMENTS} segments")


def _png_size(data: bytes) -> tuple[int, int]:
    chunk, width, height = struct.unpack_from(">4sII", data, 12)
    if chunk != b"IHDR":
        raise ValueError("its first chunk is not IHDR")
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    # A negative height means that the rows go from top to bottom.
    return width, abs(height)


def _webp_size(data: bytes) -> tuple[int, int]:
    (chunk,) = struct.unpack_from("4s", data, 12)
    if chunk == b"VP8X":
        return _uint24(data, 24) + 1, _uint24(data, 27) + 1
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError(f"its first chunk is {chunk!r}")


def _uint24(data: bytes, position: int) -> int:
    low, high = struct.unpack_from("<HB", data, position)
    return int(low) | int(high) << 16


_READERS: tuple[tuple[str, bytes, Callable[[bytes], tuple[int, int]]], ...] = (
    ("JPEG", rb"\xff\xd8\xff", _jpeg_size),
    ("PNG", rb"\x89PNG\r\n\x1a\n", _png_size),
    ("BMP", rb"BM", _bmp_size),
    ("WebP", rb"RIFF....WEBP", _webp_size),
)
