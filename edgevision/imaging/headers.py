"""The size of an image, read from its header alone, so that a bomb is known before it is decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

#: Formats that are read, with the suffixes that files of each have.
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WebP": (".webp",),
}

# A decoder skips what stands between two segments, and so must this.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_WITHOUT_LENGTH = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_JPEG_SCAN_OR_END = frozenset({0xD9, 0xDA})
# Real files have tens; a file made of empty segments would keep the loop busy for minutes.
_JPEG_MOST_SEGMENTS = 10_000


class ImageHeader(NamedTuple):
    """What the header of an image file says.

    Attributes:
        format: one of `FORMATS`.
        size_wh: width and height in pixels, before EXIF orientation.
    """

    format: str
    size_wh: tuple[int, int]


def read_header(data: bytes) -> ImageHeader | None:
    """The header of an image file, or ``None`` if it is of no known format.

    Raises:
        ValueError: the format is known, and the header is damaged or cut short.
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
        found = _JPEG_MARKER.search(data, position)
        if found is None or found[1][0] in _JPEG_SCAN_OR_END:
            raise ValueError("its header names no size")
        position = found.end()
        if found[1][0] in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if found[1][0] not in _JPEG_WITHOUT_LENGTH:
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
    # A negative height says that the rows go from top to bottom.
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
