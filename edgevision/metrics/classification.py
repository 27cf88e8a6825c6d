"""How good decisions about classes are: accuracy, precision, recall, F1, confusion, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.changes import Confusion, Reliability
from edgevision.metrics.intervals import RESAMPLES, Interval, Samples, resamples, wilson
from edgevision.metrics.measures import ClassMetricValues, Measures, MetricValue, resampled, share_of
from edgevision.tasks.classify import Scores

#: One bool an image and class.
Members = NDArray[np.bool_]
#: The class of each image, int64 ``(images,)``; or with independent scores the classes that it is of.
Truth = NDArray[np.int64] | Members

#: With independent scores a class is decided for from here on.
THRESHOLD = 0.5
#: Numbers that are computed with at a time: what bounds the memory.
_BLOCK_NUMBERS = 4_000_000


def decisions(scores: Scores, multi_label: bool) -> Members:
    """Which classes are decided for, bool ``(images, classes)``: the top one, or each at 0.5 or above.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        multi_label: whether each class has a score of its own.
    """
    if multi_label:
        return scores >= THRESHOLD
    return members(scores.argmax(axis=1), scores.shape[1])


def members(truth: Truth, classes: int) -> Members:
    """Bool ``(images, classes)``, of the class of each image or of what is that already."""
    if truth.ndim == 2:
        return truth.astype(bool, copy=False)
    return np.equal(truth[:, None], np.arange(classes))


def classify_measures(scores: Scores, truth: Truth, labels: Sequence[str], multi_label: bool) -> Measures:
    """What a classifier reaches against the truth.

    Precision, recall and F1 are means over the classes that the truth shows (macro); one that is
    never decided for has a precision of 0. With independent scores the first figure is F1, and
    ``exact match`` is the share of images of which every class is right.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        truth: of the same images.
        labels: one name a class.
        multi_label: whether each class has a score of its own.
    """
    decided, true = decisions(scores, multi_label), members(truth, scores.shape[1])
    counts = _counted(decided, true)
    shown = np.flatnonzero(counts.support > 0)
    right = share_of("exact match" if multi_label else "accuracy", (decided == true).all(axis=1))
    means = _means(counts, shown)
    figures = (means[-1], right, *means[:-1]) if multi_label else (right, *means)
    true_scores = np.where(true, scores, 1 - scores).min(axis=1) if multi_label else scores[true]
    return Measures(
        metrics=figures,
        by_class=tuple(_of_class(counts, decided, true, place, labels[place]) for place in shown.tolist()),
        errors=np.where((decided == true).all(axis=1), 0.0, 2.0 - true_scores),
        confusion=None if multi_label else Confusion.of(true.argmax(axis=1), decided.argmax(axis=1)),
        reliability=reliability(scores, true, multi_label),
    )


@dataclass(frozen=True, eq=False)
class _ClassCounts:
    """Numbers of images a class, and on each resample ``(RESAMPLES, classes)``."""

    right: NDArray[np.int64]
    decided: NDArray[np.int64]
    support: NDArray[np.int64]
    right_samples: Samples
    decided_samples: Samples
    support_samples: Samples


def _counted(decided: Members, true: Members) -> _ClassCounts:
    three = (decided & true, decided, true)
    sums = (one.sum(axis=0) for one in three)
    return _ClassCounts(*sums, *(_resampled_counts(one) for one in three))


def _resampled_counts(found: Members) -> Samples:
    """How many images each class has on each resample, from the few images that each has."""
    classes, images = np.nonzero(found.T)
    present, starts = np.unique(classes, return_index=True)
    out = np.zeros((RESAMPLES, found.shape[1]))
    if len(images) == 0:
        return out
    drawn = resamples(len(found))
    rows = max(1, _BLOCK_NUMBERS // len(images))
    for start in range(0, RESAMPLES, rows):
        block = drawn[start : start + rows][:, images].astype(np.int32)
        out[start : start + rows, present] = np.add.reduceat(block, starts, axis=1)
    return out


def _means(counts: _ClassCounts, shown: NDArray[np.intp]) -> tuple[MetricValue, ...]:
    values = _scores_of_classes(counts.right, counts.decided, counts.support)
    samples = _scores_of_classes(counts.right_samples, counts.decided_samples, counts.support_samples)
    names = ("macro precision", "macro recall", "macro F1")
    return tuple(
        resampled(name, float(_mean(value[shown][None])[0]), _mean(sample[:, shown]))
        for name, value, sample in zip(names, values, samples, strict=True)
    )


def _mean(rows: Samples) -> Samples:
    """The mean of each row over what is not NaN; 0 for a row of nothing else."""
    there = ~np.isnan(rows)
    mean: Samples = np.where(there, rows, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return mean


def _of_class(
    counts: _ClassCounts, decided: Members, true: Members, place: int, label: str
) -> ClassMetricValues:
    right, chosen, support = (int(n[place]) for n in (counts.right, counts.decided, counts.support))
    samples = _scores_of_classes(
        counts.right_samples[:, place], counts.decided_samples[:, place], counts.support_samples[:, place]
    )
    precision, _, f1 = _scores_of_classes(*map(np.array, (right, chosen, support)))
    recall_hits = decided[true[:, place], place]
    return ClassMetricValues(
        label,
        support,
        (
            resampled("precision", float(precision), samples[0], wilson(right, chosen)),
            share_of("recall", recall_hits),
            resampled("F1", float(f1), samples[2], _f1_interval(right, chosen, support)),
        ),
    )


def _f1_interval(right: int, decided: int, support: int) -> Interval:
    """F1 rises with the share right / (decided or true), so Wilson's limits of that are limits of F1."""
    share = wilson(right, decided + support - right)
    low, high = (round(2 * limit / (1 + limit), 6) for limit in (share.low, share.high))
    return Interval(low, high, share.method)


def _scores_of_classes(
    right: NDArray[np.generic], decided: NDArray[np.generic], support: NDArray[np.generic]
) -> tuple[Samples, Samples, Samples]:
    """Precision, recall and F1; NaN where the truth does not show the class at all."""
    right, decided, support = (np.asarray(one, np.float64) for one in (right, decided, support))
    there = support > 0
    precision = np.where(there, right / np.maximum(decided, 1), np.nan)
    recall = np.where(there, right / np.maximum(support, 1), np.nan)
    f1 = np.where(there, 2 * right / np.maximum(decided + support, 1), np.nan)
    return precision, recall, f1


def reliability(scores: Scores, true: Members, multi_label: bool) -> Reliability:
    """Of the top class; of independent scores, of each class's being there."""
    if multi_label:
        return Reliability.of(scores.ravel(), true.ravel())
    top = scores.argmax(axis=1)
    places = np.arange(len(scores))
    return Reliability.of(scores[places, top], true[places, top])
