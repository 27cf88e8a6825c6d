"""Finds MP4 and MOV files that state that their video is mirrored, as some phones write them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgevision.system.reading import open_file

#: Boxes at one level: a file with more is damaged, or made to be slow.
_MOST_BOXES = 10_000
#: Bytes of a track header before its matrix, in its two versions.
_BEFORE_MATRIX = {0: 40, 1: 52}


def is_mirrored(path: Path) -> bool:
    """True if the matrix of a video track mirrors; False for other formats, and for what cannot be read."""
    with open_file(path) as file:
        size = path.stat().st_size
        try:
            return file.read(8)[4:] == b"ftyp" and any(
                _mirrors(file, *track)
                for movie in _boxes(file, b"moov", 0, size)
                for track in _boxes(file, b"trak", *movie)
            )
        except struct.error:  # cut off: the library that decodes tells it
            return False


def _boxes(file: BinaryIO, wanted: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of a kind begin and end."""
    for _ in range(_MOST_BOXES):
        if end - start < 8:
            return
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        begin = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            begin += 8
        after = end if size == 0 else min(start + size, end)
        if after < begin:
            return
        if kind == wanted:
            yield begin, after
        start = after


def _mirrors(file: BinaryIO, start: int, end: int) -> bool:
    for begin, _ in _boxes(file, b"tkhd", start, end):
        file.seek(begin)
        version = file.read(1)[0]
        file.seek(begin + _BEFORE_MATRIX.get(version, 40))
        a, b, _, c, d = struct.unpack(">5i", file.read(20))
        if a * d - b * c < 0:
            return True
    return False
