"""Image files in blocks for the workers of a pipeline: tiny ones already read, large ones singly and unread.

Reading an image of 32 x 32 pixels is a dozen short calls, at each of which Python switches threads and
waits: two threads that both read are hardly faster than one. One thread that reads, and others that run
the network on many images at a time, are faster. Decoding a large image is one long call: all cores do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from edgevision.errors import InputError
from edgevision.imaging.find import ImageFile
from edgevision.imaging.frame import Frame

#: Limits of a block: tiny images, and bytes of their pixels.
_MOST_IMAGES = 128
_MOST_BYTES = 4_000_000
#: A larger file is not read here. A JPEG of this size has about 128 x 128 pixels.
_TINY_FILE_BYTES = 16_000

#: A file, and its image, or the error of reading it; `None`: not read yet.
Read = tuple[ImageFile, Frame | InputError | None]
Image = TypeVar("Image")


def image_blocks(files: Sequence[ImageFile], together: bool) -> Iterator[list[Read]]:
    """All files in blocks, in their order.

    Args:
        files: the image files.
        together: whether the network is faster on several images at once; if not, each block has one.
    """
    start = 0
    while start < len(files):
        block: list[Read] = [(files[start], None)]
        if together and _is_tiny(files[start]):
            rest = files[start : start + _MOST_IMAGES]
            readers = (partial(read_or_error, file) for file in rest)
            block = list(zip(rest, read_block(readers), strict=False))
        yield block
        start += len(block)


def read_block(readers: Iterator[Callable[[], Image]]) -> list[Image]:
    """The next images, up to the limits of a block; empty at the end."""
    block: list[Image] = []
    size_bytes = 0
    for read in readers:
        block.append(read())
        size_bytes += getattr(block[-1], "nbytes", 0)
        if len(block) == _MOST_IMAGES or size_bytes > _MOST_BYTES:
            break
    return block


def read_or_error(file: ImageFile) -> Frame | InputError:
    """A file's image, or the error of reading it."""
    try:
        return file.read()
    except InputError as error:
        return error


def _is_tiny(file: ImageFile) -> bool:
    if file.content is not None:
        return False
    try:
        return file.path.stat().st_size <= _TINY_FILE_BYTES
    except OSError:  # reported when the file is read
        return False
