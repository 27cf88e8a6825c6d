"""Batches: what is one image and what are several, and how many go through a network at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgevision.session import CheckedSession

#: Images of a longer batch go through the network this many at a time, and the rest one by one:
#: so a runtime compiles for two batch sizes at most, and memory stays bounded.
BATCH = 16


#: Pixels of an input up to which what a call costs besides its images is worth sharing.
TINY = 64 * 64


def pays(session: CheckedSession, size_wh: tuple[int, int]) -> bool:
    """Whether images go through a network faster together, and each with the very answer that it gets alone.

    The second holds for networks of integers throughout: sums of floats may change their last bits
    with the size of the batch.
    """
    width, height = size_wh
    return session.precision == "int8" and session.dynamic_batch and width * height <= TINY


def is_batch(images: Any) -> bool:
    """Whether `images` are several: a list or tuple, or an array (n, h, w, c)."""
    return isinstance(images, (list, tuple)) or (isinstance(images, np.ndarray) and images.ndim == 4)


def parts(count: int, dynamic_batch: bool) -> Iterator[slice]:
    """The runs in which `count` images go through a network."""
    size = BATCH if dynamic_batch else 1
    whole = count // size * size
    yield from (slice(start, start + size) for start in range(0, whole, size))
    yield from (slice(start, start + 1) for start in range(whole, count))
