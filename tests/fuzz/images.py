"""Damaged images in every format that is written here: a frame, or an `InputError`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import cv2
import numpy as np

import edgevision as ev
from fuzz.bundles import BYTES
from fuzz.harness import Attempt, Kind
from image_files import dicom, png, tiff

PIXELS = np.random.default_rng(3).integers(0, 256, (24, 20, 3), np.uint8)
#: Numbers that a header may state in place of its own: sizes, counts and offsets.
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


def good_images() -> Iterator[tuple[str, bytes]]:
    """Suffix and content of an image in each format."""
    for suffix in ("bmp", "gif", "jp2", "jpg", "pgm", "png", "ppm", "tiff", "webp"):
        try:
            done, content = cv2.imencode(f".{suffix}", PIXELS)
        except cv2.error:  # this build of OpenCV does not write it
            continue
        if done:
            yield suffix, content.tobytes()
    deep = PIXELS.astype(np.uint16) * 257
    yield "png", png(deep)
    yield "tif", tiff(deep[:, :, 0])
    try:
        import pydicom  # noqa: F401 - `dicom` needs it

        yield "dcm", dicom(deep[:, :, 0])
    except ImportError:
        pass


def _other_number(random: Random, content: bytes) -> bytes:
    """Another number in the first bytes, where headers are, or anywhere."""
    place = random.randrange(min(len(content), random.choice((64, 256, len(content)))))
    size = random.choice((1, 2, 4))
    value = random.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    number = value.to_bytes(size, random.choice(("little", "big")))
    return content[:place] + number + content[place + size :]


def open_images(folder: Path, only: str) -> Callable[[Random], Attempt]:
    """See `Kind.open`."""
    known = [(suffix, content) for suffix, content in good_images() if only in suffix]
    ways = {**BYTES, "number": _other_number}

    def make(random: Random) -> Attempt:
        suffix, content = random.choice(known)
        way = random.choice([*sorted(BYTES), "number", "number", "number"])
        path = folder / f"damaged.{suffix}"
        path.write_bytes(ways[way](random, content))
        return Attempt({"format": suffix, "damage": way}, lambda: _use(path))

    return make


def _use(path: Path) -> None:
    for frame in ev.read_frames(path):
        assert frame.pixels.size


IMAGES = Kind("images", 750, open_images)
