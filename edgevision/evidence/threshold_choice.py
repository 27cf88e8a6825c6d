"""The choice of the threshold on the score of a class of interest, from a calibration set.

For a sensitivity or a specificity by a binomial tolerance limit (Wilks 1941) or conformal risk control
(Angelopoulos et al. 2022, arXiv:2208.02814); for a precision by Learn-then-Test (Angelopoulos et al. 2021,
arXiv:2110.01052).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.evidence.operating_specification import LOGIT_STARTS, OperatingPointSpecification
from edgevision.metrics.binomial import at_most, most_errors
from edgevision.metrics.intervals import Groups

#: The scores of the class of interest, one per image.
ClassScores = NDArray[np.float32]
#: Whether each image belongs to the class of interest.
Positives = NDArray[np.bool_]

#: Thresholds per unit of logit that Learn-then-Test tries, and the lowest: a score of 1e-7.
_STEPS_PER_LOGIT, _LOWEST_LOGIT = 64, -16.0


def find_threshold(
    scores: ClassScores,
    positive: Positives,
    specification: OperatingPointSpecification,
    groups: Groups | None = None,
) -> float | None:
    """The threshold that meets a specification at the lowest cost; `None` if none does.

    For a sensitivity that is the threshold with the highest specificity, for a specificity or a precision the
    one with the highest sensitivity; of equals, the one that meets the specification by the widest margin.

    *Sensitivity, specificity.* Of n positives so many may be missed that the limit of Clopper and Pearson
    still keeps the required value (`edgevision.metrics.binomial.most_errors`). The share of all positives
    above the k-th lowest of n scores has a Beta distribution, whatever that of the scores, so the threshold
    keeps the value with at least the stated confidence; with equal scores, or a threshold below that score,
    with more. Without a confidence, one more image may be predicted wrongly: averaged over calibration sets
    and new images drawn alike, the metric is at least the required value.

    *Precision*, whose denominator depends on the threshold: fixed thresholds, which no image has a part in,
    are tested from the highest down, each by the exact binomial test on its own predictions, until one fails.
    There are a few starts, each with its part of the risk; a threshold that passes hands its part on to the
    next (fixed-sequence testing as a fallback procedure: Wiens 2003). All that pass keep the required value,
    with the stated confidence, so any of them may be chosen; where the class is as frequent as in this set.

    Otherwise the threshold lies halfway between two scores that occur, so that neither the rounding of
    another processor nor one step of an int8 score changes a decision; images of equal score stay together.
    Thresholds that predict every image positive, or none, are never chosen.

    Args:
        scores: float32 ``(images,)`` of 0…1, of the class of interest.
        positive: bool ``(images,)``, whether each image belongs to it.
        specification: the metric, its required value, and the guarantee.
        groups: int ``(images,)``; the images of one group count as one, as if they were copies of each
            other (the effective number of groups of different size: Kish 1965). `None`: every image is its
            own.
    """
    if specification.metric == "precision":
        return _precise_threshold(scores, positive, specification, groups)
    counts = ThresholdCounts.of(scores, positive)
    is_sensitivity = specification.metric == "sensitivity"
    measured = positive if is_sensitivity else ~positive
    errors = counts.positives - counts.true_positives if is_sensitivity else counts.false_positives
    images = int(measured.sum())
    allowed = _allowed_errors(images, effective_number(measured, groups), specification)
    return _cheapest(counts, errors <= allowed, specification.metric)


def empirical_threshold(
    scores: ClassScores, positive: Positives, specification: OperatingPointSpecification
) -> float | None:
    """The threshold with the required value on these very images, without any guarantee: to compare with.

    Args:
        scores, positive, specification: as for `find_threshold`.
    """
    counts = ThresholdCounts.of(scores, positive)
    return _cheapest(
        counts, counts.metric(specification.metric) >= specification.at_least, specification.metric
    )


def effective_number(images: Positives, groups: Groups | None) -> int:
    """The number of independent images among those that are True: all, or the effective number of groups.

    For groups of one size that is their number. With groups of n₁, n₂, … images it is (Σ n)² / Σ n²,
    rounded down (Kish 1965, Survey Sampling, for groups whose images are copies of each other).
    """
    count = int(images.sum())
    if groups is None or count == 0:
        return count
    sizes = np.unique(groups[images], return_counts=True)[1].astype(np.float64)
    return math.floor(float(sizes.sum() ** 2 / (sizes**2).sum()) + 1e-9)


def _allowed_errors(images: int, independent: int, specification: OperatingPointSpecification) -> float:
    """The errors on `images` that a specification allows, if so many of them are independent."""
    share = 1 - specification.at_least
    if specification.confidence is None:
        allowed = math.floor(share * (independent + 1) + 1e-9) - 1
    else:
        allowed = most_errors(independent, share, specification.confidence)
    return allowed * images / max(1, independent) + 1e-9


def _cheapest(counts: ThresholdCounts, keeps: NDArray[np.bool_], metric: str) -> float | None:
    """Of the occurring scores that keep a metric, the cheapest, moved halfway to the next lower."""
    meets = np.flatnonzero(keeps[:-1])
    if len(meets) == 0:
        return None
    hits, false_alarms = counts.true_positives[meets], counts.false_positives[meets]
    keys = (hits, -false_alarms) if metric == "sensitivity" else (-false_alarms, hits)
    place = meets[np.lexsort(keys)[-1]]
    high, low = counts.thresholds[place], counts.thresholds[place + 1]
    middle = np.float32((float(high) + float(low)) / 2)
    return float(middle if middle > low else high)


def _precise_threshold(
    scores: ClassScores,
    positive: Positives,
    specification: OperatingPointSpecification,
    groups: Groups | None,
) -> float | None:
    predictions, hits = np.sort(scores), np.sort(scores[positive])
    best: tuple[int, int, float, float] | None = None
    for threshold in _precise_thresholds(scores, positive, specification, groups):
        count = len(predictions) - int(np.searchsorted(predictions, threshold))
        correct = len(hits) - int(np.searchsorted(hits, threshold))
        if count in (0, len(predictions)):
            continue
        margin = float(np.abs(predictions - threshold).min())
        found = (correct, correct - count, margin, float(threshold))
        best = found if best is None else max(best, found)
    return None if best is None else best[-1]


def _precise_thresholds(
    scores: ClassScores,
    positive: Positives,
    specification: OperatingPointSpecification,
    groups: Groups | None,
) -> Iterator[np.float32]:
    """The thresholds that Learn-then-Test finds to keep a precision, in descending order."""
    if specification.confidence is None:
        raise TypeError("a precision has no threshold without a confidence")
    required = math.log(specification.at_least) - math.log1p(-specification.at_least)
    starts = required + np.array(LOGIT_STARTS)
    count = int((starts[0] - _LOWEST_LOGIT) * _STEPS_PER_LOGIT)
    logits = starts[0] - np.arange(max(count, 1)) / _STEPS_PER_LOGIT
    part, level = (1 - specification.confidence) / len(starts), 0.0
    tested: tuple[int, float] = (-1, 1.0)
    for logit in logits:
        level += part * int((np.abs(starts - logit) < 1e-9).sum())
        if level == 0:
            continue
        threshold = np.float32(1 / (1 + math.exp(-logit)))
        predicted = scores >= threshold
        if (count := int(predicted.sum())) != tested[0]:  # else the same predictions as at the last threshold
            wrong = count - int((predicted & positive).sum())
            independent = effective_number(predicted, groups)
            errors = math.ceil(wrong * independent / max(1, count) - 1e-9)
            tested = count, at_most(errors, independent, 1 - specification.at_least)
        if tested[1] <= level:
            yield threshold
        else:
            level = 0.0


@dataclass(frozen=True, eq=False)
class ThresholdCounts:
    """Predictions by threshold, at each score that occurs, the highest first.

    Attributes:
        thresholds: float32 ``(scores,)``, descending.
        true_positives, false_positives: float64 ``(scores,)``.
        positives, negatives: images of the class of interest, and all others.
    """

    thresholds: ClassScores
    true_positives: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    positives: int
    negatives: int

    @classmethod
    def of(cls, scores: ClassScores, positive: Positives) -> ThresholdCounts:
        """Count the predictions of images, float32 scores and bool ``(images,)``."""
        levels, places = np.unique(-scores, return_inverse=True)
        hits = np.bincount(places, positive, len(levels)).cumsum()
        false_alarms = np.bincount(places, ~positive, len(levels)).cumsum()
        return cls(0 - levels, hits, false_alarms, int(positive.sum()), int((~positive).sum()))

    def metric(self, name: str) -> NDArray[np.float64]:
        """Sensitivity, specificity or precision, by threshold."""
        if name == "sensitivity":
            return self.true_positives / self.positives
        if name == "specificity":
            return 1 - self.false_positives / self.negatives
        return self.true_positives / (self.true_positives + self.false_positives)
