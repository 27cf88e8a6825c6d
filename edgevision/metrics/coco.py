"""COCO metrics of detectors: matched by pycocotools, and what each image contributes to them."""

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
from edgevision.metrics.bounded_means import limits_of_means
from edgevision.metrics.intervals import Groups
from edgevision.metrics.measures import ClassMetricValues, Contributions, Measures, MetricValue
from edgevision.tasks.detections import Detections

#: Boxes per image and class that COCO evaluates.
_MOST = 100
_THRESHOLDS = 10
_RECALL_LEVELS = np.linspace(0.0, 1.0, 101)


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
    averages = [[_average(one, levels) for levels in (slice(0, 1), slice(None))] for one in matches]
    at_50, at_all = ([row[place] for row in averages] for place in (0, 1))
    number = len(truth)
    # All at once, since the limits are computed in parallel.
    found = iter(
        _metrics(
            [
                ("mAP@0.50", [one.precision for one in at_50]),
                ("mAP@0.50:0.95", [one.precision for one in at_all]),
                ("recall", [one.recall for one in at_all]),
                *(
                    row
                    for half, every in averages
                    for row in (("AP@0.50", [half.precision]), ("AP@0.50:0.95", [every.precision]))
                ),
            ],
            number,
            groups,
        )
    )
    metrics = (next(found), next(found), next(found))
    by_class = tuple(
        ClassMetricValues(labels[one.class_id], int(one.objects.sum()), (next(found), next(found)))
        for one in matches
    )
    return Measures(metrics, by_class, _errors(matches, number, score_threshold), notes=_notes(truth))


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
class _Ratio:
    """A metric of one class as a sum over images.

    Attributes:
        value: the metric, 0…1.
        images: int64 ``(n,)``, images that have an object or a box of the class.
        changes: float64 ``(n,)``, derivative of the metric by the weight of each image; its sum is 0.
        shares: float64 ``(n,)``, share of the objects of the class that each image has.
        most_gained, most_lost: the most that one more image with one object could change the metric.
        optimism: what the metric gains by interpolation, which takes the best of precisions that vary, so
            that it is too high on few images.
    """

    value: float
    images: NDArray[np.int64]
    changes: NDArray[np.float64]
    shares: NDArray[np.float64]
    most_gained: float
    most_lost: float
    optimism: float = 0.0


@dataclass(frozen=True, eq=False)
class _Average:
    """Average precision and recall of one class."""

    precision: _Ratio
    recall: _Ratio


def _metrics(
    rows: Sequence[tuple[str, Sequence[_Ratio]]], images: int, groups: Groups | None
) -> list[MetricValue]:
    """The mean of each metric over its classes; without classes 0, and nothing bounds it."""
    contributions = [_contributions(classes, images, groups) for _, classes in rows]
    limits = limits_of_means([one.mean for one in contributions])
    return [
        MetricValue(
            name,
            float(np.mean([one.value for one in classes])) if classes else 0.0,
            of_images.interval_from(ends),
            observations=of_images,
        )
        for (name, classes), of_images, ends in zip(rows, contributions, limits, strict=True)
    ]


def _contributions(classes: Sequence[_Ratio], images: int, groups: Groups | None) -> Contributions:
    """The contribution of each image to the mean of a metric over classes."""
    amounts, shares = np.zeros(images), np.zeros(images)
    for one in classes:
        shares[one.images] += one.shares / len(classes)
        amounts[one.images] += one.changes / len(classes)
    amounts += shares * sum(one.value for one in classes) / max(1, len(classes))
    most_gained, most_lost = (
        max((getattr(one, name) for one in classes), default=0.0) / max(1, len(classes))
        for name in ("most_gained", "most_lost")
    )
    optimism = sum(one.optimism for one in classes) / max(1, len(classes))
    return Contributions(amounts, shares, most_gained, most_lost, groups, optimism)


def _average(one: _ClassMatches, levels: slice) -> _Average:
    """Average precision and recall at the IoU thresholds in `levels`, averaged over these."""
    objects = int(one.objects.sum())
    held = np.unique(np.concatenate([np.flatnonzero(one.objects), one.images]))
    shares = one.objects[held] / objects
    places = np.searchsorted(held, one.images)
    rows = [
        _at_threshold(right, ignored, places, one.objects[held])
        for right, ignored in zip(one.right[levels], one.ignored[levels], strict=True)
    ]
    precision, changes, false_alarm, gained, recall, hits = (
        np.mean(column, axis=0) for column in zip(*rows, strict=True)
    )
    return _Average(
        # One more object, found or missed; missed by a false box with the highest score at worst.
        _Ratio(
            float(precision),
            held,
            changes,
            shares,
            1 / objects,
            1 / objects + float(false_alarm),
            float(gained),
        ),
        _Ratio(float(recall), held, hits / objects - recall * shares, shares, 1 / objects, 1 / objects),
    )


def _at_threshold(
    right: NDArray[np.bool_], ignored: NDArray[np.bool_], places: NDArray[np.intp], objects: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64], float, float, float, NDArray[np.float64]]:
    """Average precision, its derivative by image, the loss to a false box on top, its gain by interpolation.

    And recall, and the number of correct boxes by image.

    Boxes have their highest score first. The derivative is that of the area under the interpolated precision,
    of which COCO's mean over 101 levels of recall is an approximation.
    """
    total = int(objects.sum())
    counted = ~ignored
    hits, boxes = np.cumsum(right), np.cumsum(counted)
    by_image = np.bincount(places[right], minlength=len(objects)).astype(np.float64)
    correct = np.flatnonzero(right)
    if len(correct) == 0:
        return 0.0, np.zeros(len(objects)), 0.0, 0.0, 0.0, by_image
    precisions = hits[correct] / boxes[correct]
    # Interpolated precision at each correct box is that of the best one at or beyond it.
    best = np.maximum.accumulate(precisions[::-1])[::-1]
    peak = correct[np.searchsorted(-best, -best, side="right") - 1]
    levels = np.searchsorted(hits[correct], _needed(total)).clip(max=len(correct))
    average = float(np.append(best, 0.0)[levels].mean())
    # Each peak is worth as many correct boxes as are interpolated from it.
    worth = np.zeros(len(right))
    np.add.at(worth, peak, 1 / boxes[peak])
    relative = np.zeros(len(right))
    np.add.at(relative, peak, best / boxes[peak])
    to_right, to_all = (np.cumsum(one[::-1])[::-1] for one in (worth, relative))
    moved = np.bincount(places, right * to_right - counted * to_all, minlength=len(objects))
    found = np.bincount(places[correct], best, minlength=len(objects))
    area = float(best.sum()) / total
    return (
        average,
        (found + moved) / total - area * objects / total,
        float(to_all[0]) / total,
        max(0.0, average - float(precisions.sum()) / total),
        len(correct) / total,
        by_image,
    )


def _needed(objects: int) -> NDArray[np.int64]:
    """Objects to detect for each level of recall, ``(101,)``, rounded as COCO does."""
    count = max(objects, 1)
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
