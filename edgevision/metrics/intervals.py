"""Confidence intervals of shares and of their differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics import bounded_means
from edgevision.metrics.bounded_means import Unseen, WeightedMean, limits_of_means, upper_limit_of_drop
from edgevision.metrics.quantiles import beta_quantile

#: As in `edgevision.metrics.bounded_means`.
Groups = bounded_means.Groups

_DIGITS = 6
#: Confidence of every interval of a metric.
CONFIDENCE = 0.95
#: `Interval.method` of the drop of a proportion on the same, independent images.
PAIRED = "gaffke-paired"


@dataclass(frozen=True)
class Interval:
    """A confidence interval of the value on all images of this kind.

    Attributes:
        low, high: the limits, in the unit of the value. Each alone is wrong in at most half of
            ``1 - confidence`` of all sets.
        method: ``clopper-pearson`` (Clopper and Pearson 1934, Biometrika 26:404: the exact interval of a
            proportion; for F1, of the proportion that F1 is a function of), ``gaffke-paired`` (the drop of a
            proportion on the same images), ``gaffke`` (any other mean, drop or macro average) or
            ``gaffke-groups`` (of images that belong together): these three are limits of the mean of a
            bounded variable (Gaffke 2005; see `edgevision.metrics.bounded_means`). ``calibration-error`` is
            described in `edgevision.metrics.reliability.Reliability`, ``bootstrap-t`` (of the log loss) in
            `edgevision.evidence.temperatures.change_interval`.
        confidence: how often such intervals contain the value, 0…1.
    """

    low: float
    high: float
    method: str
    confidence: float = CONFIDENCE


def clopper_pearson(hits: float, count: float, *, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of the proportion of `hits` in `count` independent trials; 0 to 1 without trials.

    Each limit alone is wrong in at most half of ``1 - confidence`` of all sets (Clopper and Pearson 1934,
    Biometrika 26:404).

    Args:
        hits, count: trials; fractions of trials are for plans.
        confidence: of the two limits together, 0…1; the lower limit alone has ``(1 + confidence) / 2``.
    """
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, hits, count - hits + 1) if hits > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, count - hits) if hits < count else 1.0
    return Interval(round(low, _DIGITS), round(high, _DIGITS), "clopper-pearson", confidence)


def proportion(
    hits: NDArray[np.bool_], *, groups: Groups | None = None, confidence: float = CONFIDENCE
) -> Interval:
    """The interval of a proportion of images, bool ``(n,)``; 0 to 1 without images.

    Args:
        hits: bool ``(n,)``.
        groups: group of each image, `None` if every image is its own.
        confidence: of the two limits together, 0…1.
    """
    if groups is None:
        return clopper_pearson(int(hits.sum()), len(hits), confidence=confidence)
    return share_by_image(hits, groups=groups, confidence=confidence)


def share_by_image(
    amounts: NDArray[Any],
    of: NDArray[Any] | None = None,
    *,
    groups: Groups | None = None,
    confidence: float = CONFIDENCE,
) -> Interval:
    """The interval of a share that is measured on parts of images, or of a mean similarity of images.

    The parts of one image depend on each other, so the images are what is sampled, or the groups of images.
    If all agree, it says how many others may not, which neither a bootstrap nor a variance can.

    Args:
        amounts: ``(images,)``, from 0 to `of`.
        of: ``(images,)``, the amount that would be a share of 1; default 1 for each.
        groups: group of each image, `None` if every image is its own.
        confidence: of the two limits together, 0…1.

    Returns:
        0 to 1 if no image has any part: then nothing is known of the share.
    """
    whole = np.ones(len(amounts)) if of is None else of.astype(np.float64)
    mean = share_mean(amounts.astype(np.float64), whole, groups)
    unknown = Interval(0.0, 1.0, mean_method(groups), confidence)
    return interval_of(mean, groups, confidence=confidence) or unknown


def share_mean(
    amounts: NDArray[np.float64],
    whole: NDArray[np.float64],
    groups: Groups | None = None,
    *,
    lowest: float = 0.0,
) -> WeightedMean:
    """A share of parts of images as a mean over images.

    A further image is as large as the image of a random part.

    Args:
        amounts: ``(images,)``, from `lowest` times `whole` to `whole`.
        whole: ``(images,)``, the amount that is a share of 1.
        groups: group of each image, `None` if every image is its own.
        lowest: the least that a part can be: 0 of a share, -1 of the difference of two.
    """
    total = float(whole.sum())
    size = float((whole**2).sum()) / total if total > 0 else 0.0
    return WeightedMean(amounts, whole, Unseen(size, size), Unseen(lowest * size, size)).by_group(groups)


def paired_drop(lost: float, gained: float, count: float, *, confidence: float = CONFIDENCE) -> Interval:
    """The interval of the proportion of `lost` minus that of `gained` in `count` images.

    It excludes 0 where McNemar's exact test does. Two models with the same hits still have an interval wider
    than 0: other images might tell them apart.

    Args:
        lost, gained: images that only the source, or only the artifact, hits; fractions are for plans.
        count: images.
        confidence: of the two limits together, 0…1.
    """
    high = upper_limit_of_drop(lost, gained, count, confidence=confidence)
    low = 0.0 - upper_limit_of_drop(gained, lost, count, confidence=confidence)
    return Interval(low, high, PAIRED, confidence)


def interval_of(
    mean: WeightedMean, groups: Groups | None = None, *, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval of a mean over images or, with `groups`, over these; `None` if nothing is measured."""
    (limits,) = limits_of_means([mean], confidence=confidence)
    return None if limits is None else Interval(*limits, mean_method(groups), confidence)


def mean_method(groups: Groups | None) -> str:
    """`Interval.method` of a mean over images or, with `groups`, over these."""
    return "gaffke" if groups is None else "gaffke-groups"
