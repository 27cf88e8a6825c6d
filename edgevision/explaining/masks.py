"""Masks: which parts of an image are shown (1) and which are hidden (0), with soft edges."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from edgevision.decoder import Floats


def random_masks(size_hw: tuple[int, int], cells: int, seed: int) -> Iterator[Floats]:
    """Random masks without an end, each followed by its complement.

    A coarse grid of shown and hidden cells, half of each, is enlarged with soft edges and shifted by less
    than a cell (Petsiuk et al. 2018). The complement makes every pixel shown exactly as often as it is
    hidden, so that the score of the whole image drops out of the estimate.

    Args:
        size_hw: height and width of the masks in pixels.
        cells: cells along the shorter side.
        seed: the same seed gives the same masks.

    Yields:
        float32 `size_hw`, each 0…1.
    """
    random = np.random.default_rng(seed)
    cell = max(1.0, min(size_hw) / cells)
    rows, columns = (int(np.ceil(side / cell)) + 1 for side in size_hw)
    height, width = (int(np.ceil(count * cell)) for count in (rows, columns))
    top_most, left_most = height - size_hw[0], width - size_hw[1]
    while True:
        grid = (random.random((rows, columns)) < 0.5).astype(np.float32)
        whole = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
        top, left = (int(random.integers(most + 1)) for most in (top_most, left_most))
        mask = np.ascontiguousarray(whole[top : top + size_hw[0], left : left + size_hw[1]])
        yield mask
        yield np.float32(1.0) - mask


def random_map(size_hw: tuple[int, int], cells: int, seed: int) -> Floats:
    """A map that says nothing, as smooth as those from `random_masks`: what a map is compared with.

    Args:
        size_hw: height and width in pixels.
        cells: cells along the shorter side.
        seed: the same seed gives the same map.

    Returns:
        float32 `size_hw`, of mean 0.
    """
    cell = max(1.0, min(size_hw) / cells)
    rows, columns = (int(np.ceil(side / cell)) + 1 for side in size_hw)
    grid = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(cv2.resize(grid, size_hw[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def sliding_masks(size_hw: tuple[int, int], cells: int, most: int) -> list[Floats]:
    """Masks that hide one window each: a cell wide, in steps of half a cell, over the whole image.

    Args:
        size_hw: height and width of the masks in pixels.
        cells: cells along the shorter side; fewer where they would give more than `most` masks.
        most: masks at most, 1 or more.

    Returns:
        float32 `size_hw` each, 0 within the window and 1 elsewhere.
    """
    side = max(1, round(min(size_hw) / cells))
    while len(places := _places(size_hw, side)) > most:
        side = math.ceil(1.1 * side)
    masks = []
    for top, left in places:
        mask = np.ones(size_hw, np.float32)
        mask[top : top + side, left : left + side] = 0.0
        masks.append(mask)
    return masks


def _places(size_hw: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """The upper left corners of windows of a side, in steps of half of it."""
    starts = []
    for size in size_hw:
        last = max(0, size - side)
        starts.append(sorted({*range(0, last, max(1, side // 2)), last}))
    return [(top, left) for top in starts[0] for left in starts[1]]
