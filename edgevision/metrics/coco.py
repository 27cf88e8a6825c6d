"""COCO metrics of detectors: matched by pycocotools, averaged over any resample of the images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.annotations import Annotations
from edgevision.errors import MissingRuntimeError
from edgevision.metrics.intervals import Groups, Samples, resamples
from edgevision.metrics.measures import ClassMetricValues, Measures, MetricValue, resampled
from edgevision.tasks.detections import Detections

#: Boxes per image and class that COCO evaluates.
_MOST = 100
_THRESHOLDS = 10
_RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
#: Numbers processed at a time, which limits the memory.
_BLOCK_NUMBERS = 4_000_000


def detect_measures(
    truth: Sequence[Annotations],
    detections: Sequence[Detections],
    labels: Sequence[str],
    score_threshold: float = 0.0,
    *,
    groups: Groups | None = None,
) -> Measures:
    """COCO's mean average precision and recall (Lin et al. 2014), with the matching of pycocotools.

    Args:
        truth: annotations of each image.
        detections: those in each image, in the same order; COCO evaluates the best hundred of each class.
        labels: one name per class; classes without annotations do not count.
        score_threshold: lowest score of a detection, for the errors of single images.
        groups: group of each image, `None` if every image is its own.

    Returns:
        ``mAP@0.50``, ``mAP@0.50:0.95`` and ``recall`` (the mean over IoU 0.50 to 0.95, at a hundred
        boxes per image), each 0…1; and by class ``AP@0.50`` and ``AP@0.50:0.95``. The error of an image is
        its number of missed objects and false detections at IoU 0.50.

    Raises:
        MissingRuntimeError: pycocotools is not installed.
    """
    matches = _matches(truth, detections, len(labels))
    values = _averages(matches, np.ones((1, len(truth)), np.uint8))
    samples = _averages(matches, resamples(len(truth)))
    metrics = (
        _metric("mAP@0.50", _class_mean(values.precision_50), _class_mean(samples.precision_50)),
        _metric("mAP@0.50:0.95", _class_mean(values.precision), _class_mean(samples.precision)),
        _metric("recall", _class_mean(values.recall), _class_mean(samples.recall)),
    )
    by_class = tuple(
        ClassMetricValues(
            labels[one.class_id],
            int(one.objects.sum()),
            (
                _metric("AP@0.50", values.precision_50[:, place], samples.precision_50[:, place]),
                _metric("AP@0.50:0.95", values.precision[:, place], samples.precision[:, place]),
            ),
        )
        for place, one in enumerate(matches)
    )
    return Measures(metrics, by_class, _errors(matches, len(truth), score_threshold), notes=_notes(truth))


@dataclass(frozen=True, eq=False)
class _ClassMatches:
    """The detections of one class, highest score first, matched with the annotations.

    Attributes:
        class_id: index in the labels.
        objects: int64 ``(images,)``, number of annotated objects.
        images: int64 ``(boxes,)``, index of the image of each box.
        scores: ``(boxes,)``.
        right, ignored: bool ``(thresholds, boxes)``, correct and ignored boxes by IoU threshold.
    """

    class_id: int
    objects: NDArray[np.int64]
    images: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Averages:
    """Averages, each ``(resamples, classes)``; NaN where a resample has no object of the class."""

    precision_50: Samples
    precision: Samples
    recall: Samples


def _metric(name: str, value: Samples, samples: Samples) -> MetricValue:
    return resampled(name, float(value[0]), samples)


def _class_mean(values: Samples) -> Samples:
    known = ~np.isnan(values)
    mean: Samples = np.where(known, values, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


def _averages(matches: Sequence[_ClassMatches], drawn: NDArray[np.uint8]) -> _Averages:
    """Averages of every class on each row of `drawn`, which counts how often each image is drawn."""
    precision = np.full((_THRESHOLDS, len(drawn), len(matches)), np.nan)
    recall = np.full_like(precision, np.nan)
    for place, one in enumerate(matches):
        rows = max(1, _BLOCK_NUMBERS // max(len(one.scores), drawn.shape[1]))
        for start in range(0, len(drawn), rows):
            block = slice(start, start + rows)
            for threshold, averages in enumerate(_of_thresholds(one, drawn[block])):
                precision[threshold, block, place], recall[threshold, block, place] = averages
    return _Averages(precision[0], precision.mean(axis=0), recall.mean(axis=0))


def _of_thresholds(one: _ClassMatches, drawn: NDArray[np.uint8]) -> Iterator[tuple[Samples, Samples]]:
    """Average precision and highest recall at each threshold, each ``(rows,)``.

    Boxes in an image that a row draws twice count twice. Precision peaks at correct boxes, so the others can
    be skipped.
    """
    objects = drawn.astype(np.int64) @ one.objects
    weights = drawn[:, one.images].astype(np.int32)
    boxes = np.cumsum(weights, axis=1)
    for right, ignored in zip(one.right, one.ignored, strict=True):
        counted = np.cumsum(weights * ~ignored, axis=1) if ignored.any() else boxes
        hits = np.cumsum(weights[:, right], axis=1)
        yield _average_precision(hits, counted[:, right], objects)


def _average_precision(
    hits: NDArray[np.int32], boxes: NDArray[np.int32], objects: NDArray[np.int64]
) -> tuple[Samples, Samples]:
    """Precision at 101 levels of recall, averaged, and the highest recall: each ``(rows,)``.

    Args:
        hits, boxes: ``(rows, correct boxes)``: number of correct boxes, and of all boxes, up to and
            including each correct box.
        objects: ``(rows,)``, number of annotated objects.
    """
    rows, places = hits.shape
    shown = np.where(objects > 0, objects, np.nan)
    if places == 0:
        return shown * 0.0, shown * 0.0
    precisions = hits / np.maximum(boxes, 1)
    best = np.zeros((rows, places + 1))  # beyond the last box precision is 0
    best[:, :-1] = np.maximum.accumulate(precisions[:, ::-1], axis=1)[:, ::-1]
    # One search for all rows: an offset per row keeps the concatenation sorted.
    needed = _needed(objects)
    offsets = np.arange(rows)[:, None] * (int(max(hits.max(), needed.max())) + 1)
    positions = np.searchsorted((hits + offsets).ravel(), (needed + offsets).ravel()).reshape(rows, -1)
    levels = (positions - np.arange(rows)[:, None] * places).clip(max=places)
    average = np.take_along_axis(best, levels, axis=1).mean(axis=1)
    return np.where(objects > 0, average, np.nan), hits[:, -1] / shown


def _needed(objects: NDArray[np.int64]) -> NDArray[np.int64]:
    """Objects to detect for each level of recall, ``(rows, 101)``, rounded as COCO does."""
    count = np.maximum(objects, 1)[:, None]
    needed = np.ceil(_RECALL_LEVELS * count).astype(np.int64)
    needed -= (needed - 1) / count >= _RECALL_LEVELS
    needed += needed / count < _RECALL_LEVELS
    return needed


def _errors(matches: Sequence[_ClassMatches], images: int, score_threshold: float) -> NDArray[np.float64]:
    """Missed objects and false detections in each image, at the first IoU threshold."""
    errors = np.zeros(images)
    for one in matches:
        above = one.scores >= score_threshold
        hits = np.bincount(one.images[above & one.right[0]], minlength=images)
        false = np.bincount(one.images[above & ~one.right[0] & ~one.ignored[0]], minlength=images)
        errors += one.objects - hits + false
    return errors


def _notes(truth: Sequence[Annotations]) -> tuple[str, ...]:
    left_out = sum(image.left_out for image in truth)
    ignored = sum(int(image.difficult.sum()) for image in truth if image.difficult is not None)
    notes = []
    if left_out:
        notes.append(f"annotated objects of zero width or height, left out: {left_out}")
    if ignored:
        notes.append(f"objects marked difficult, counted neither as detected nor as missed: {ignored}")
    return tuple(notes)


def _matches(
    truth: Sequence[Annotations], detections: Sequence[Detections], classes: int
) -> list[_ClassMatches]:
    """Matches by pycocotools for each class with annotations."""
    results = [entry for number, one in enumerate(detections) for entry in one.to_coco(number)]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its own progress
        evaluation = _evaluation(_dataset(truth, classes), results)
        evaluation.evaluate()
    images = len(truth)
    rows = (evaluation.evalImgs[number * images : (number + 1) * images] for number in range(classes))
    merged = [_merged(number, list(row), images) for number, row in enumerate(rows)]
    return [one for one in merged if one.objects.any()]


def _evaluation(dataset: dict[str, Any], results: list[dict[str, Any]]) -> Any:
    try:
        coco_module, eval_module = import_module("pycocotools.coco"), import_module("pycocotools.cocoeval")
    except ImportError as error:
        reason = "pycocotools, which evaluates detectors, is not installed"
        raise MissingRuntimeError("evaluate", reason) from error
    known = coco_module.COCO()
    known.dataset = dataset
    known.createIndex()
    # pycocotools raises an error if there is no result at all.
    answers = known.loadRes(results) if results else coco_module.COCO()
    evaluation = eval_module.COCOeval(known, answers, "bbox")
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0.0, float("inf")]], ["all"]
    evaluation.params.maxDets = [_MOST]
    evaluation.computeIoU = _PlainOverlaps(evaluation)
    return evaluation


class _PlainOverlaps:
    """The overlaps of pycocotools, with the plain IoU for difficult objects.

    Like a crowd, a difficult object can be detected more than once and never counts as missed; unlike a
    crowd's, its overlap is the usual intersection over union, as in the VOC development kit.
    """

    def __init__(self, evaluation: Any) -> None:
        self._evaluation = evaluation
        self._overlaps = evaluation.computeIoU

    def __call__(self, image_id: int, category_id: int) -> Any:
        difficult = [one for one in self._evaluation._gts[image_id, category_id] if one["difficult"]]
        for one in difficult:
            one["iscrowd"] = 0
        overlaps = self._overlaps(image_id, category_id)
        for one in difficult:
            one["iscrowd"] = 1
        return overlaps


def _merged(class_id: int, rows: Sequence[dict[str, Any] | None], images: int) -> _ClassMatches:
    evaluated = [row for row in rows if row is not None]
    objects = np.zeros(images, np.int64)
    for row in evaluated:
        objects[row["image_id"]] = int((np.asarray(row["gtIgnore"]) == 0).sum())
    scores = np.concatenate([np.empty(0), *(row["dtScores"] for row in evaluated)])
    # Stable like the sort of pycocotools, so that ties keep the order of the images.
    order = np.argsort(-scores, kind="mergesort")
    return _ClassMatches(
        class_id,
        objects,
        np.repeat([row["image_id"] for row in evaluated], [len(row["dtScores"]) for row in evaluated])[
            order
        ].astype(np.int64),
        scores[order],
        *(columns[:, order] for columns in _matched(evaluated)),
    )


def _matched(rows: Sequence[dict[str, Any]]) -> Iterator[NDArray[np.bool_]]:
    empty = np.empty((_THRESHOLDS, 0), bool)
    ignored = np.concatenate([empty, *(row["dtIgnore"].astype(bool) for row in rows)], axis=1)
    matched = np.concatenate([empty, *(row["dtMatches"] > 0 for row in rows)], axis=1)
    yield matched & ~ignored
    yield ignored


def _dataset(truth: Sequence[Annotations], classes: int) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for number, image in enumerate(truth):
        marks = np.zeros(len(image.crowds), bool) if image.difficult is None else image.difficult
        columns = zip(image.boxes_xyxy.tolist(), image.class_ids, image.crowds, marks, strict=True)
        for (left, top, right, bottom), class_id, crowd, difficult in columns:
            entries.append(
                {
                    "id": len(entries) + 1,
                    "image_id": number,
                    "category_id": int(class_id),
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(crowd or difficult),
                    "difficult": bool(difficult),
                }
            )
    return {
        "info": {},
        "images": [{"id": number} for number in range(len(truth))],
        "categories": [{"id": number} for number in range(classes)],
        "annotations": entries,
    }
