"""Batches: one image or several, and how many go through a network at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from edgevision.errors import InputError
from edgevision.session import CheckedSession

ImageT = TypeVar("ImageT")

#: Images of a longer batch go through the network this many at a time, and the rest one by one:
#: so a runtime compiles for two batch sizes at most, and memory stays bounded.
BATCH = 16
#: Pixels of an input up to which sharing the overhead of a call is worthwhile.
TINY = 64 * 64


def pays(session: CheckedSession, size_wh: tuple[int, int]) -> bool:
    """Return whether a network is faster on several images at once, with the same result for each as alone.

    The same result is certain for networks that are int8 throughout: sums of floats may change their
    last bits with the size of the batch.
    """
    width, height = size_wh
    return session.precision == "int8" and session.dynamic_batch and width * height <= TINY


def is_batch(images: Any) -> bool:
    """Return whether `images` is a batch: a list or tuple, or an array (n, h, w, c)."""
    return isinstance(images, (list, tuple)) or (isinstance(images, np.ndarray) and images.ndim == 4)


def parts(count: int, dynamic_batch: bool) -> Iterator[slice]:
    """The slices of `count` images that go through a network in one run each."""
    size = BATCH if dynamic_batch else 1
    whole = count // size * size
    yield from (slice(start, start + size) for start in range(0, whole, size))
    yield from (slice(start, start + 1) for start in range(whole, count))


def each_or_all(
    predict: Callable[[Sequence[ImageT]], Sequence[Any]], images: Sequence[ImageT]
) -> Sequence[Any]:
    """The results of images; where one has values that the network cannot use, of each alone, or its error.

    Args:
        predict: from images to their results; raises `InputError` for such values.
        images: any number of them.
    """
    try:
        return predict(images)
    except InputError as error:
        if len(images) == 1:
            return [error]
    return [result for image in images for result in each_or_all(predict, [image])]
