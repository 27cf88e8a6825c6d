"""Image files in blocks for the workers of a pipeline: tiny ones read already, large ones one by one, unread.

Reading a picture of 32 x 32 pixels is a dozen short calls, at each of which Python lets another thread run
and then waits for it: two threads that both do it are hardly faster than one. One that reads, and others that
run the network on many pictures at a time, are. Decoding a large picture is one long call: all cores do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from edgevision.errors import InputError
from edgevision.imaging.decode import Pixels, read_image

#: Tiny pictures in one block, and how many bytes of pixels end it earlier.
_MOST_IMAGES = 128
_MOST_BYTES = 4_000_000
#: A block whose first file has more is not read here: as JPEG so many are about 128 x 128 pixels.
_TINY_FILE_BYTES = 16_000

#: A file, and its pixels, or why it cannot be read; `None`: it is yet to be read.
Read = tuple[Path, Pixels | InputError | None]
Image = TypeVar("Image")


def image_blocks(paths: Sequence[Path], together: bool) -> Iterator[list[Read]]:
    """All files, in their order, a block at a time.

    Args:
        paths: of image files.
        together: whether images go through the network faster together; if not, every block has one.
    """
    start = 0
    while start < len(paths):
        block: list[Read] = [(paths[start], None)]
        if together and _is_tiny(paths[start]):
            rest = paths[start : start + _MOST_IMAGES]
            readers = (partial(read_or_error, path) for path in rest)
            block = list(zip(rest, read_block(readers), strict=False))
        yield block
        start += len(block)


def read_block(readers: Iterator[Callable[[], Image]]) -> list[Image]:
    """The next images, until they are many or large; none if there are no more."""
    block: list[Image] = []
    held = 0
    for read in readers:
        block.append(read())
        held += getattr(block[-1], "nbytes", 0)
        if len(block) == _MOST_IMAGES or held > _MOST_BYTES:
            break
    return block


def read_or_error(path: Path) -> Pixels | InputError:
    """A file's pixels, (h, w, 3) uint8 RGB, or why it cannot be read."""
    try:
        return read_image(path)
    except InputError as error:
        return error


def _is_tiny(path: Path) -> bool:
    try:
        return path.stat().st_size <= _TINY_FILE_BYTES
    except OSError:  # whoever reads it says why
        return False
