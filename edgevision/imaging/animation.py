"""Animations: the pictures of a GIF, WebP or PNG file that has several, and when each is shown."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError
from edgevision.imaging.decode import check_size
from edgevision.imaging.headers import format_of, gif_blocks, read_header

#: Of pictures that are decoded at once: each call of OpenCV begins at the first one, and keeps all it gives.
_MOST_BYTES_AT_ONCE = 1 << 26
_MS_PER_S = 1000


def picture_count(data: bytes) -> int:
    """The number of pictures in the file of a GIF, WebP or PNG; 1 for every other file, and a damaged one."""
    count = {"GIF": _gif_pictures, "WebP": _webp_pictures, "PNG": _png_pictures}.get(format_of(data) or "")
    try:
        return 1 if count is None else max(1, count(data))
    except (struct.error, IndexError):
        return 1


def pictures(data: bytes, name: str) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """The pictures of an animation, as they are shown one after the other.

    Alpha is dropped, as of single images.

    Args:
        data: the content of the file.
        name: of the file, for errors.

    Yields:
        (h, w, 3) uint8 RGB, and the second from the start at which it is shown.

    Raises:
        InputError: the pictures are too large, or damaged, or this OpenCV reads no animations.
    """
    decode: Any = getattr(cv2, "imdecodeanimation", None)
    if decode is None:
        raise InputError(
            f"{name}: OpenCV {cv2.__version__} reads no animations; run: pip install -U "
            "opencv-python-headless; or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    header = read_header(data)
    if header is None or header.bits != 8:
        raise InputError(f"{name}: expected an animation with 8 bits per channel; convert it to a video")
    width, height = header.size_wh
    check_size(header.size_wh, name)
    buffer, count = np.frombuffer(data, np.uint8), picture_count(data)
    at_once = max(1, _MOST_BYTES_AT_ONCE // (width * height * 4))
    shown_ms = 0
    for start in range(0, count, at_once):
        wanted = min(at_once, count - start)
        try:
            read, animation = decode(buffer, start=start, count=wanted)
        except cv2.error as error:
            raise InputError(f"{name}: damaged: {error.err}") from error
        found = list(animation.frames) if read else []
        for picture, duration_ms in zip(found, np.ravel(animation.durations).tolist(), strict=False):
            yield np.ascontiguousarray(picture[..., 2::-1]), shown_ms / _MS_PER_S
            shown_ms += duration_ms
        if len(found) < wanted:
            raise InputError(
                f"{name}: damaged or cut short: {start + len(found)} of {count} pictures could be decoded"
            )


def _gif_pictures(data: bytes) -> int:
    return sum(kind == b"," for kind, _ in gif_blocks(data))


def _webp_pictures(data: bytes) -> int:
    position, count = 12, 0
    while position + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, position + 4)
        count += data[position : position + 4] == b"ANMF"
        position += 8 + size + size % 2
    return count


def _png_pictures(data: bytes) -> int:
    position = 8
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"acTL":
            return int(struct.unpack_from(">I", data, position + 8)[0])
        if kind == b"IDAT":  # behind the first picture, none is announced
            return 1
        position += 12 + size
    return 1
