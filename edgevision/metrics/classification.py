"""Metrics of classifiers: accuracy, precision, recall, F1, confusion and reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.changes import Confusion
from edgevision.metrics.intervals import RESAMPLES, Groups, Interval, Samples, resamples, wilson
from edgevision.metrics.measures import ClassMetricValues, Measures, MetricValue, resampled, share_of
from edgevision.metrics.reliability import Reliability
from edgevision.tasks.classify import Scores

#: Membership: one bool per image and class.
Members = NDArray[np.bool_]
#: Ground truth: the class of each image, int64 ``(images,)``, or with independent scores its membership.
Truth = NDArray[np.int64] | Members

#: Lowest independent score that predicts a class.
THRESHOLD = 0.5
#: Numbers processed at a time, which limits the memory.
_BLOCK_NUMBERS = 4_000_000


def predicted_classes(scores: Scores, multi_label: bool) -> Members:
    """Predicted classes, bool ``(images, classes)``: the top one, or each class at 0.5 or above.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        multi_label: whether each class has an independent score.
    """
    if multi_label:
        return scores >= THRESHOLD
    return members(scores.argmax(axis=1), scores.shape[1])


def members(truth: Truth, classes: int) -> Members:
    """Ground truth of either form as bool ``(images, classes)``."""
    if truth.ndim == 2:
        return truth.astype(bool, copy=False)
    return np.equal(truth[:, None], np.arange(classes))


def classify_measures(
    scores: Scores,
    truth: Truth,
    labels: Sequence[str],
    multi_label: bool,
    *,
    groups: Groups | None = None,
) -> Measures:
    """Measure a classifier against the ground truth.

    Precision, recall and F1 are averaged over the classes in the ground truth (macro); the precision of a
    class that is never predicted is 0. With independent scores the main metric is F1, and ``exact match`` is
    the share of images for which every class is correct.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        truth: ground truth of the same images.
        labels: one name per class.
        multi_label: whether each class has an independent score.
        groups: group of each image, `None` if every image is its own.
    """
    predicted, true = predicted_classes(scores, multi_label), members(truth, scores.shape[1])
    counts = _counted(predicted, true)
    shown = np.flatnonzero(counts.support > 0)
    accuracy = share_of("exact match" if multi_label else "accuracy", (predicted == true).all(axis=1))
    means = _means(counts, shown)
    metrics = (means[-1], accuracy, *means[:-1]) if multi_label else (accuracy, *means)
    true_scores = np.where(true, scores, 1 - scores).min(axis=1) if multi_label else scores[true]
    return Measures(
        metrics=metrics,
        by_class=tuple(_of_class(counts, predicted, true, place, labels[place]) for place in shown.tolist()),
        errors=np.where((predicted == true).all(axis=1), 0.0, 2.0 - true_scores),
        confusion=None if multi_label else Confusion.of(true.argmax(axis=1), predicted.argmax(axis=1)),
        reliability=reliability(scores, true, multi_label, groups=groups),
    )


@dataclass(frozen=True, eq=False)
class _ClassCounts:
    """Number of images per class ``(classes,)``, and on each resample ``(RESAMPLES, classes)``."""

    correct: NDArray[np.int64]
    predicted: NDArray[np.int64]
    support: NDArray[np.int64]
    correct_samples: Samples
    predicted_samples: Samples
    support_samples: Samples


def _counted(predicted: Members, true: Members) -> _ClassCounts:
    memberships = (predicted & true, predicted, true)
    sums = (one.sum(axis=0) for one in memberships)
    return _ClassCounts(*sums, *(_resampled_counts(one) for one in memberships))


def _resampled_counts(membership: Members) -> Samples:
    """Number of images per class on each resample; visits the images of each class alone."""
    classes, images = np.nonzero(membership.T)
    present, starts = np.unique(classes, return_index=True)
    out = np.zeros((RESAMPLES, membership.shape[1]))
    if len(images) == 0:
        return out
    drawn = resamples(len(membership))
    rows = max(1, _BLOCK_NUMBERS // len(images))
    for start in range(0, RESAMPLES, rows):
        block = drawn[start : start + rows][:, images].astype(np.int32)
        out[start : start + rows, present] = np.add.reduceat(block, starts, axis=1)
    return out


def _means(counts: _ClassCounts, shown: NDArray[np.intp]) -> tuple[MetricValue, ...]:
    values = _scores_of_classes(counts.correct, counts.predicted, counts.support)
    samples = _scores_of_classes(counts.correct_samples, counts.predicted_samples, counts.support_samples)
    names = ("macro precision", "macro recall", "macro F1")
    return tuple(
        resampled(name, float(_mean(value[shown][None])[0]), _mean(sample[:, shown]))
        for name, value, sample in zip(names, values, samples, strict=True)
    )


def _mean(rows: Samples) -> Samples:
    """The mean of each row without its NaN; 0 for a row of NaN alone."""
    known = ~np.isnan(rows)
    mean: Samples = np.where(known, rows, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


def _of_class(
    counts: _ClassCounts, predicted: Members, true: Members, place: int, label: str
) -> ClassMetricValues:
    correct, predictions, support = (
        int(n[place]) for n in (counts.correct, counts.predicted, counts.support)
    )
    samples = _scores_of_classes(
        counts.correct_samples[:, place], counts.predicted_samples[:, place], counts.support_samples[:, place]
    )
    precision, _, f1 = _scores_of_classes(*map(np.array, (correct, predictions, support)))
    recall_hits = predicted[true[:, place], place]
    return ClassMetricValues(
        label,
        support,
        (
            resampled("precision", float(precision), samples[0], wilson(correct, predictions)),
            share_of("recall", recall_hits),
            resampled("F1", float(f1), samples[2], _f1_interval(correct, predictions, support)),
        ),
    )


def _f1_interval(correct: int, predicted: int, support: int) -> Interval:
    """Wilson's interval of the share correct / (predicted or true), converted to F1, which rises with it."""
    share = wilson(correct, predicted + support - correct)
    low, high = (round(2 * limit / (1 + limit), 6) for limit in (share.low, share.high))
    return Interval(low, high, share.method)


def _scores_of_classes(
    correct: NDArray[np.generic], predicted: NDArray[np.generic], support: NDArray[np.generic]
) -> tuple[Samples, Samples, Samples]:
    """Precision, recall and F1; NaN for classes without support."""
    correct, predicted, support = (np.asarray(one, np.float64) for one in (correct, predicted, support))
    supported = support > 0
    precision = np.where(supported, correct / np.maximum(predicted, 1), np.nan)
    recall = np.where(supported, correct / np.maximum(support, 1), np.nan)
    f1 = np.where(supported, 2 * correct / np.maximum(predicted + support, 1), np.nan)
    return precision, recall, f1


def reliability(
    scores: Scores, true: Members, multi_label: bool, *, groups: Groups | None = None
) -> Reliability:
    """Reliability of the score of the top class; with independent scores, of the score of every class.

    The scores of one image depend on each other, and so do the images of one group.
    """
    if multi_label:
        of_images = np.arange(len(scores)) if groups is None else groups
        return Reliability.of(scores.ravel(), true.ravel(), groups=of_images.repeat(scores.shape[1]))
    top = scores.argmax(axis=1)
    places = np.arange(len(scores))
    return Reliability.of(scores[places, top], true[places, top], groups=groups)
