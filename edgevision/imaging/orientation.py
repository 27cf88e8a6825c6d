"""EXIF orientation: read as the decoder of JPEG and PNG files reads it, by whichever way a picture comes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.imaging.codecs import Pixels, decode_8bit

_EXIF_PREFIX = b"Exif\0\0"
#: The most that one segment of a JPEG file holds.
_MOST_BYTES_OF_SEGMENT = 65533
#: The signature and the first chunk of a PNG file.
_PNG_HEADER_BYTES = 33
#: EXIF orientation -> upright pixels; 1 is upright already, and any other number means nothing.
TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}


def orientation_in_a_file(block: bytes, png: bool) -> int:
    """The orientation that the decoder of files reads from an EXIF block: by turning two by three pixels."""
    tiff = block.removeprefix(_EXIF_PREFIX)
    corners = np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3)[:, :, np.newaxis].repeat(3, axis=2)
    turned = decode_8bit(_png_with_exif(corners, tiff) if png else _jpeg_with_exif(corners, tiff))
    for orientation, turn in TURNS.items():
        if turned is not None and np.array_equal(np.rint(turned / 40), turn(corners) // 40):
            return orientation
    return 1


def _jpeg_with_exif(pixels: Pixels, tiff: bytes) -> bytes:
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    content = (_EXIF_PREFIX + tiff)[:_MOST_BYTES_OF_SEGMENT]
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def _png_with_exif(pixels: Pixels, tiff: bytes) -> bytes:
    png = cv2.imencode(".png", pixels)[1].tobytes()
    if tiff[:2] not in (b"II", b"MM"):  # libpng would only warn about it on stderr
        return png
    chunk = b"eXIf" + tiff
    chunk = struct.pack(">I", len(tiff)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:_PNG_HEADER_BYTES] + chunk + png[_PNG_HEADER_BYTES:]


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels turned as an EXIF orientation says; 1 is upright already, and any other number means nothing."""
    turn = TURNS.get(orientation)
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))
