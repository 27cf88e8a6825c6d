"""The size of an image from its header alone, so that a decompression bomb is never decoded."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

#: Supported formats, with the file suffixes of each.
FORMATS: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "DICOM": (".dcm", ".dicom", ".ima"),
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
        bits: per channel.
    """

    format: str
    size_wh: tuple[int, int]
    bits: int = 8


def format_of(data: bytes) -> str | None:
    """The format, one of `FORMATS`, that the first bytes of a file are of; `None` if it is none of them.

    Args:
        data: the file, or its first 132 bytes or more.
    """
    for name, starts in _SIGNATURES:
        if re.match(starts, data, re.DOTALL):
            return name
    return None


def read_header(data: bytes) -> ImageHeader | None:
    """The header of a JPEG, PNG, BMP, WebP or GIF file, or ``None`` if the file is of another format.

    Raises:
        ValueError: the format is supported, but the header is damaged or truncated.
    """
    name = format_of(data)
    if name is None or name not in _SIZES:
        return None
    try:
        size_wh, bits = _SIZES[name](data), _BITS.get(name, _eight)(data)
    except (struct.error, IndexError) as error:
        raise ValueError("it ends within its header") from error
    if min(size_wh) < 1:
        raise ValueError(f"its header says {size_wh[0]} x {size_wh[1]} pixels")
    return ImageHeader(name, size_wh, bits)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, _jpeg_frame(data) + 1)
    return width, height


def _jpeg_bits(data: bytes) -> int:
    return data[_jpeg_frame(data)]


def _jpeg_frame(data: bytes) -> int:
    """The place of the frame header: bits, height and width."""
    position = 2
    for _ in range(_JPEG_MOST_SEGMENTS):
        marker = _JPEG_MARKER.search(data, position)
        if marker is None or marker[1][0] in _JPEG_SCAN_OR_END:
            raise ValueError("its header states no size")
        position = marker.end()
        if marker[1][0] in _JPEG_FRAMES:
            return position + 2
        if marker[1][0] not in _JPEG_WITHOUT_LENGTH:
            position += max(2, struct.unpack_from(">H", data, position)[0])
    raise ValueError(f"its header has more than {_JPEG_MOST_SEGMENTS} segments")


def _png_size(data: bytes) -> tuple[int, int]:
    chunk, width, height = struct.unpack_from(">4sII", data, 12)
    if chunk != b"IHDR":
        raise ValueError("its first chunk is not IHDR")
    return width, height


def _png_bits(data: bytes) -> int:
    return max(8, data[24])  # fewer are stretched to 8, as the format prescribes


def _eight(data: bytes) -> int:
    return 8


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


def webp_exif(data: bytes) -> bytes | None:
    """The EXIF block of a WebP file; `None` if it has none."""
    position = 12
    while position + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, position + 4)
        if data[position : position + 4] == b"EXIF":
            return data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2
    return None


def gif_without_transparency(data: bytes) -> bytes:
    """A GIF file whose first image is opaque: alpha is dropped, not blended with the decoder's background."""
    for kind, position in gif_blocks(data):
        if kind != b"!":
            break
        found = data[position + 1 : position + 4]
        if found[:2] == b"\xf9\x04" and len(found) == 3 and found[2] & 1:
            flags = bytes([data[position + 3] & ~1])
            return data[: position + 3] + flags + data[position + 4 :]
    return data


def gif_blocks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Kind and position of each block of a GIF file up to its end: ``!`` an extension, ``,`` a picture."""
    position = 13 + _gif_palette(data, 10)
    while (kind := data[position : position + 1]) in (b"!", b","):
        yield kind, position
        # An extension has a label; a picture its place and size, a palette, and the size of its codes.
        position += 2 if kind == b"!" else 11 + _gif_palette(data, position + 9)
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1


def _gif_palette(data: bytes, position: int) -> int:
    """Bytes of the palette that the flags at a position announce."""
    flags = data[position] if position < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _uint24(data: bytes, position: int) -> int:
    low, high = struct.unpack_from("<HB", data, position)
    return int(low) | int(high) << 16


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


_SIGNATURES: tuple[tuple[str, bytes], ...] = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("BMP", rb"BM"),
    ("WebP", rb"RIFF....WEBP"),
    ("DICOM", rb".{128}DICM"),  # before TIFF: its preamble may be one
    ("TIFF", rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]"),
    ("GIF", rb"GIF8[79]a"),
    ("HEIC", rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)"),
)
_SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "BMP": _bmp_size,
    "WebP": _webp_size,
    "GIF": _gif_size,
}
_BITS: dict[str, Callable[[bytes], int]] = {"JPEG": _jpeg_bits, "PNG": _png_bits}
