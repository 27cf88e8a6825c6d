"""How good detections are: COCO's own figures against the truth, and matches between two detectors."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from edgevision.decoder import Floats
from edgevision.errors import MissingRuntimeError
from edgevision.evaluation.annotations import Annotations
from edgevision.tasks.detections import Detections

#: Names of COCO's figures -> their places in `COCOeval.stats`.
_FIGURES = {"mAP@0.50": 1, "mAP@0.50:0.95": 0, "recall": 8}


@dataclass(frozen=True, eq=False)
class Match:
    """Which boxes of two detectors are the same, in one image.

    Attributes:
        boxes: how many the two have together.
        score_differences: float32, one a matched pair.
    """

    boxes: int
    score_differences: Floats


def match(source: Detections, artifact: Detections, least_iou: float = 0.5) -> Match:
    """Match each box of `source` with at most one of `artifact`: of the same class, the most alike first.

    Args:
        source, artifact: what each finds in the same image.
        least_iou: 0…1; boxes that overlap less are not the same.
    """
    overlaps = iou(source.boxes_xyxy, artifact.boxes_xyxy)
    overlaps[source.class_ids[:, None] != artifact.class_ids[None, :]] = 0.0
    differences = []
    while overlaps.size and overlaps.max() >= max(least_iou, 1e-9):
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        differences.append(abs(float(source.scores[row]) - float(artifact.scores[column])))
        overlaps[row, :] = 0.0
        overlaps[:, column] = 0.0
    return Match(len(source) + len(artifact), np.array(differences, np.float32))


def iou(first_xyxy: Floats, second_xyxy: Floats) -> Floats:
    """Intersection over union of every pair of boxes: ``(n, 4)`` and ``(m, 4)`` give float32 ``(n, m)``."""
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (first_xyxy, second_xyxy)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps


def coco_figures(truth: Sequence[Annotations], found: Sequence[Detections], classes: int) -> dict[str, float]:
    """COCO's mean average precision and recall, by its own program (Lin et al. 2014, pycocotools).

    Args:
        truth: of each image.
        found: of each image, in the same order; COCO looks at the best hundred.
        classes: how many there are; one that the truth never shows does not count.

    Returns:
        ``mAP@0.50``, ``mAP@0.50:0.95`` and ``recall`` (the mean over IoU 0.50 to 0.95, at a
        hundred boxes an image), each 0…1.

    Raises:
        MissingRuntimeError: pycocotools is not installed.
    """
    try:
        coco_module, eval_module = import_module("pycocotools.coco"), import_module("pycocotools.cocoeval")
    except ImportError as error:
        raise MissingRuntimeError(
            "convert", "pycocotools, which measures detectors, is not installed"
        ) from error
    # Of a truth that is all crowds, pycocotools says -1.
    if all(image.crowds.all() for image in truth):
        return dict.fromkeys(_FIGURES, 0.0)
    results = [entry for number, one in enumerate(found) for entry in one.to_coco(number)]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its own progress
        dataset = coco_module.COCO()
        dataset.dataset = _dataset(truth, classes)
        dataset.createIndex()
        if not results:
            return dict.fromkeys(_FIGURES, 0.0)
        evaluation = eval_module.COCOeval(dataset, dataset.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: float(evaluation.stats[place]) for name, place in _FIGURES.items()}


def _dataset(truth: Sequence[Annotations], classes: int) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for number, image in enumerate(truth):
        for box, class_id, crowd in zip(
            image.boxes_xyxy.tolist(), image.class_ids, image.crowds, strict=True
        ):
            left, top, right, bottom = box
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": number,
                    "category_id": int(class_id),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(crowd),
                }
            )
    return {
        "info": {},
        "images": [{"id": number} for number in range(len(truth))],
        "categories": [{"id": number} for number in range(classes)],
        "annotations": entries,
    }
