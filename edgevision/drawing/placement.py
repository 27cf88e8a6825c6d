"""The places of labels in a picture, none over another and few over objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_Boxes = NDArray[np.float64]

#: Places above and below an object that are tried, in heights of a label, before it is left without one.
_STACKED = 6
#: A label as far from its object as it is high is as bad as one that covers this share of itself of objects.
_DISTANCE_SHARE = 0.3


def place_labels(
    boxes_xyxy: _Boxes, sizes: Sequence[tuple[int, int]], height: int, width: int
) -> list[tuple[int, int] | None]:
    """The upper left corner of each object's label; `None` where every place would cover another label.

    The first objects choose first. Of the free places a label takes one that covers little of any object, and
    is near its own.

    Args:
        boxes_xyxy: ``(n, 4)``, in whole pixels, the best object first.
        sizes: width and height of each label, in pixels.
        height, width: of the picture, in pixels.
    """
    taken = np.zeros((0, 4))
    corners: list[tuple[int, int] | None] = []
    for box, (across, down) in zip(boxes_xyxy, sizes, strict=True):
        places = np.array(list(_places(box, across, down, height, width)))
        labels = np.hstack([places, places + np.array([across, down])])
        labels = labels[~(_overlaps(labels, taken) > 0).any(axis=1)]
        if not len(labels):
            corners.append(None)
            continue
        covered = _overlaps(labels, boxes_xyxy).sum(axis=1) / (across * down)
        best = labels[int(np.argmin(covered + _DISTANCE_SHARE * _distances(labels, box) / down))]
        taken = np.vstack([taken, best])
        corners.append((int(best[0]), int(best[1])))
    return corners


def _places(box: _Boxes, across: int, down: int, height: int, width: int) -> Iterator[tuple[float, float]]:
    """Corners of a label of one object, all inside the picture, the usual ones first."""
    left, top, right, bottom = box.tolist()
    most_left, most_top = max(0, width - across), max(0, height - down)
    beside = ((left, top), (left, bottom - down), (left - across, top), (right, top))
    stacked = (
        (x, y)
        for step in range(_STACKED)
        for y in (top - (step + 1) * down, bottom + step * down)
        for x in (left, right - across)
    )
    for x, y in (*stacked, *beside):
        yield min(max(0, x), most_left), min(max(0, y), most_top)


def _distances(labels: _Boxes, box: _Boxes) -> _Boxes:
    """Pixels between each label and its object; 0 where they touch."""
    gaps: _Boxes = np.maximum(labels[:, :2] - box[2:], box[:2] - labels[:, 2:]).max(axis=1)
    return np.maximum(0.0, gaps)


def _overlaps(labels: _Boxes, boxes: _Boxes) -> _Boxes:
    """Area that each label shares with each box, ``(labels, boxes)``, in square pixels."""
    low = np.maximum(labels[:, None, :2], boxes[None, :, :2])
    high = np.minimum(labels[:, None, 2:], boxes[None, :, 2:])
    sides = np.maximum(0.0, high - low)
    areas: _Boxes = sides[..., 0] * sides[..., 1]
    return areas
