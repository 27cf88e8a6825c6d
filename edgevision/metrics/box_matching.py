"""Matching of the boxes of two detectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.tasks.box_overlap import iou
from edgevision.tasks.detections import Detections


@dataclass(frozen=True, eq=False)
class Match:
    """The boxes of two detectors in one image, matched.

    Attributes:
        boxes: total number of boxes of both.
        score_differences: float32, one per matched pair.
        lost, gained: int64, indices of the boxes that only the source, or only the artifact, detected.
    """

    boxes: int
    score_differences: Floats
    lost: NDArray[np.intp]
    gained: NDArray[np.intp]


def match(source: Detections, artifact: Detections, least_iou: float = 0.5) -> Match:
    """Match each box of `source` with at most one box of `artifact` of the same class, highest IoU first.

    Args:
        source, artifact: detections in the same image.
        least_iou: smallest IoU of a match, 0…1.
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
