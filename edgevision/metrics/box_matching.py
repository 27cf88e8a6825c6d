"""Which boxes of two detectors are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.tasks.detections import Detections


@dataclass(frozen=True, eq=False)
class Match:
    """Which boxes of two detectors are the same, in one image.

    Attributes:
        boxes: how many the two have together.
        score_differences: float32, one a matched pair.
        lost, gained: int64, places of the boxes that only the source, or only the artifact, has.
    """

    boxes: int
    score_differences: Floats
    lost: NDArray[np.intp]
    gained: NDArray[np.intp]


def match(source: Detections, artifact: Detections, least_iou: float = 0.5) -> Match:
    """Match each box of `source` with at most one of `artifact`: of the same class, the most alike first.

    Args:
        source, artifact: what each finds in the same image.
        least_iou: 0…1; boxes that overlap less are not the same.
    """
    overlaps = iou(source.boxes_xyxy, artifact.boxes_xyxy)
    overlaps[source.class_ids[:, None] != artifact.class_ids[None, :]] = 0.0
    differences = []
    free = np.ones(len(source), bool), np.ones(len(artifact), bool)
    while overlaps.size and overlaps.max() >= max(least_iou, 1e-9):
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        differences.append(abs(float(source.scores[row]) - float(artifact.scores[column])))
        overlaps[row, :] = 0.0
        overlaps[:, column] = 0.0
        free[0][row] = free[1][column] = False
    places = (np.flatnonzero(one) for one in free)
    return Match(len(source) + len(artifact), np.array(differences, np.float32), *places)


def iou(first_xyxy: Floats, second_xyxy: Floats) -> Floats:
    """Intersection over union of every pair of boxes: ``(n, 4)`` and ``(m, 4)`` give float32 ``(n, m)``."""
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (first_xyxy, second_xyxy)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps
