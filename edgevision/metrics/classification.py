"""Metrics of classifiers: accuracy, precision, recall, F1, confusion and reliability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics import class_ratios
from edgevision.metrics.changes import Confusion
from edgevision.metrics.class_ratios import ClassCounts, class_metrics, macro_metrics
from edgevision.metrics.intervals import Groups
from edgevision.metrics.measures import ClassMetricValues, Measures, share_of
from edgevision.metrics.reliability import Reliability
from edgevision.tasks.classify import Scores

#: Membership: one bool per image and class.
Members = class_ratios.Members
#: Ground truth: the class of each image, int64 ``(images,)``, or with independent scores its membership.
Truth = NDArray[np.int64] | Members

#: Lowest independent score that predicts a class.
THRESHOLD = 0.5


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

    Precision, recall and F1 are averaged over the classes that the ground truth or the predictions have, or,
    with independent scores, over all classes; where they are not defined they are 0 (as scikit-learn's
    ``average="macro", zero_division=0``). With independent scores the main metric is F1, and ``exact match``
    is the share of images for which every class is correct.

    Args:
        scores: float32 ``(images, classes)`` of 0…1.
        truth: ground truth of the same images.
        labels: one name per class.
        multi_label: whether each class has an independent score.
        groups: group of each image, `None` if every image is its own.
    """
    predicted, true = predicted_classes(scores, multi_label), members(truth, scores.shape[1])
    counts = ClassCounts.of(predicted, true)
    right = (predicted == true).all(axis=1)
    accuracy = share_of("exact match" if multi_label else "accuracy", right, groups=groups)
    averaged = np.ones(len(labels), bool) if multi_label else counts.union
    means = macro_metrics(predicted, true, counts, averaged, groups)
    metrics = (means[-1], accuracy, *means[:-1]) if multi_label else (accuracy, *means)
    true_scores = np.where(true, scores, 1 - scores).min(axis=1) if multi_label else scores[true]
    shown = np.flatnonzero(counts.support > 0).tolist()
    return Measures(
        metrics=metrics,
        by_class=tuple(
            ClassMetricValues(labels[place], int(counts.support[place]), of_class)
            for place, of_class in zip(shown, class_metrics(predicted, true, counts, groups), strict=True)
        ),
        errors=np.where(right, 0.0, 2.0 - true_scores),
        confusion=None if multi_label else Confusion.of(true.argmax(axis=1), predicted.argmax(axis=1)),
        reliability=reliability(scores, true, multi_label, groups=groups),
        notes=_unsupported_notes(counts, averaged),
    )


def _unsupported_notes(counts: ClassCounts, averaged: NDArray[np.bool_]) -> tuple[str, ...]:
    count = int((averaged & (counts.support == 0)).sum())
    if count == 0:
        return ()
    return (
        f"classes in the macro averages without an image in the ground truth: {count} of {averaged.sum()}; "
        "they count as 0, as in scikit-learn, and these images do not bound what they would add",
    )


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
