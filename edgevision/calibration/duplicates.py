"""Near-duplicates among tens of thousands of images, found by their thumbnails.

The search is exact: the means of two thumbnails never differ by more than the thumbnails do, so each image is
compared only with those of a similar mean, in blocks of a fixed size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Thumbnails = NDArray[np.uint8]
Places = NDArray[np.intp]

#: Root mean square difference of two thumbnails, in levels of 0…255, up to which images are near-duplicates.
#: The nearest two of 3,000 CIFAR-10 images differ by 11, of 1,797 digits by 7, of 292 microscope photos by
#: 13, except for two photos of one slide, which differ by 3.
NEAR = 4.0

_ROWS = 512
_COLUMNS = 8192


def repeated(thumbnails: Thumbnails, limit: float) -> Places:
    """The images to leave out, so that no two of the remaining ones are near-duplicates.

    Args:
        thumbnails: (n, h, w) uint8.
        limit: root mean square difference, in levels of 0…255, up to which two images are near-duplicates.

    Returns:
        (n,): index of the kept image that each is a near-duplicate of; -1 for images that are kept.
    """
    flat, means, order = _sorted(thumbnails)
    near = np.full(len(flat), -1, np.intp)
    kept = np.empty(0, np.intp)
    for start in range(0, len(flat), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(flat)))
        within = kept[np.searchsorted(means[kept], means[start] - limit) :]
        near[rows] = _nearest(flat, rows, within, limit)
        open_rows = rows[near[rows] < 0]
        alike = _squares(flat, open_rows, open_rows) <= _square_limit(flat, limit)
        for place, row in enumerate(open_rows):
            first = int(np.argmax(alike[place, :place])) if place else 0
            if place and alike[place, first]:
                near[row] = open_rows[first]
            else:
                kept = np.append(kept, row)
            alike[:, place] &= near[row] < 0
    result = np.full(len(flat), -1, np.intp)
    result[order] = np.where(near < 0, -1, order[near])
    return result


def nearest(thumbnails: Thumbnails, others: Thumbnails, limit: float) -> Places:
    """Index of the nearest image among `others` for each image; -1 if none is within the limit.

    Args:
        thumbnails, others: (n, h, w) and (m, h, w) uint8.
        limit: as in `repeated`.
    """
    mine, means, order = _sorted(thumbnails)
    theirs, their_means, their_order = _sorted(others)
    both = np.concatenate([mine, theirs])
    result = np.full(len(mine), -1, np.intp)
    for start in range(0, len(mine), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(mine)))
        first, last = np.searchsorted(their_means, [means[start] - limit, means[rows[-1]] + limit])
        found = _nearest(both, rows, len(mine) + np.arange(first, last), limit)
        near = found >= 0
        result[order[rows[near]]] = their_order[found[near] - len(mine)]
    return result


def _sorted(thumbnails: Thumbnails) -> tuple[NDArray[np.int8], NDArray[np.float64], Places]:
    """The thumbnails as rows centred on 0, sorted by their means; these means; the original indices."""
    flat = (thumbnails.reshape(len(thumbnails), int(np.prod(thumbnails.shape[1:]))) ^ 128).view(np.int8)
    means = flat.mean(axis=1)
    order = np.argsort(means, kind="stable")
    return flat[order], means[order], order


def _nearest(flat: NDArray[np.int8], rows: Places, columns: Places, limit: float) -> Places:
    """For each of `rows` the nearest of `columns`, -1 where none is near."""
    best = np.full(len(rows), _square_limit(flat, limit), np.float32)
    found = np.full(len(rows), -1, np.intp)
    for start in range(0, len(columns), _COLUMNS):
        part = columns[start : start + _COLUMNS]
        squares = _squares(flat, rows, part)
        place = squares.argmin(axis=1)
        least = squares[np.arange(len(rows)), place]
        better = least <= best
        best[better], found[better] = least[better], part[place[better]]
    return found


def _squares(flat: NDArray[np.int8], rows: Places, columns: Places) -> NDArray[np.float32]:
    """Sum of squared differences of each pair, accurate to a level or two in float32."""
    a, b = flat[rows].astype(np.float32), flat[columns].astype(np.float32)
    return np.asarray((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, np.float32)


def _square_limit(flat: NDArray[np.int8], limit: float) -> float:
    return limit * limit * int(flat.shape[1])
