"""95 % confidence intervals of metrics, from closed formulas or by resampling the images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.quantiles import beta_quantile

Samples = NDArray[np.float64]
#: Images that belong together, such as those of one patient or video: the index of the group of each image,
#: ``(images,)``. The images of a group depend on each other, so the groups are what is sampled.
Groups = NDArray[np.intp]

#: Of the standard normal distribution, at 97.5 %.
_Z = 1.959963984540054
#: Number of bootstrap resamples.
RESAMPLES = 1000
#: Numbers processed at a time, which limits the memory.
_BLOCK_NUMBERS = 4_000_000
_DIGITS = 6


@dataclass(frozen=True)
class Interval:
    """A confidence interval of the value on all images of this kind.

    Attributes:
        low, high: the limits, in the unit of the value.
        method: ``agresti-coull`` (Agresti and Coull 1998, The American Statistician 52:119, extended from
            hits to one share per image: see `share_by_image`), ``wilson`` (Wilson 1927, the score interval of
            a proportion; for F1, of the proportion that F1 is a function of), ``newcombe`` (Newcombe 1998,
            Statistics in Medicine 17:2635, method 10, for the difference of two proportions on the same
            images) or ``bootstrap`` (percentiles of `RESAMPLES` resamples of the images, Efron and Tibshirani
            1993, chapter 13; the resamples are the same for the same number of images).
        confidence: how often such intervals contain the value, 0…1.
    """

    low: float
    high: float
    method: str
    confidence: float = 0.95


def wilson(hits: int, count: int) -> Interval:
    """The interval of the proportion of `hits` in `count` independent trials; 0 to 1 without trials."""
    low, high = _wilson(hits, count)
    return Interval(round(low, _DIGITS), round(high, _DIGITS), "wilson")


def clopper_pearson(hits: float, count: float, *, confidence: float = 0.95) -> Interval:
    """The exact interval of the proportion of `hits` in `count` independent trials; 0 to 1 without trials.

    Each limit alone is wrong in at most half of ``1 - confidence`` of all sets (Clopper and Pearson 1934,
    Biometrika 26:404).

    Args:
        hits, count: trials; fractions stand for dependent trials, counted by what they are worth.
        confidence: of the two limits together, 0…1; the lower limit alone has ``(1 + confidence) / 2``.
    """
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, hits, count - hits + 1) if hits > 0 else 0.0
    high = beta_quantile(1 - tail, hits + 1, count - hits) if hits < count else 1.0
    return Interval(round(low, _DIGITS), round(high, _DIGITS), "clopper-pearson", confidence)


def paired_drop(lost: float, gained: float, count: float, *, confidence: float = 0.95) -> Interval:
    """The interval of the proportion of `lost` minus that of `gained` in `count` images.

    The exact limits of both proportions, combined by their distances (Zou and Donner 2008, Statistics in
    Medicine 27:1693).

    Args:
        lost, gained: images that only the source, or only the artifact, hits.
        count: images.
        confidence: of the two limits together, 0…1.
    """
    if count <= 0:
        return Interval(-1.0, 1.0, "zou-donner", confidence)
    losses, gains = (clopper_pearson(one, count, confidence=confidence) for one in (lost, gained))
    p, q = lost / count, gained / count
    above = math.hypot(losses.high - p, q - gains.low)
    below = math.hypot(p - losses.low, gains.high - q)
    return Interval(round(p - q - below, _DIGITS), round(p - q + above, _DIGITS), "zou-donner", confidence)


def share_by_image(
    amounts: NDArray[Any], of: NDArray[Any] | None = None, *, groups: Groups | None = None
) -> Interval:
    """The interval of a share that is measured on parts of images, or of a mean similarity of images.

    The parts of one image depend on each other, so the images are what is sampled. As Agresti and Coull do
    for hits, `_Z` ** 2 images are added, half of them with a share of 1 and half with 0, and then the
    interval is that of a mean, with the variance of the shares. With shares of 0 and 1 it is theirs. If all
    images agree, it says how many others may not, which neither a bootstrap nor a variance can.

    Args:
        amounts: ``(images,)``, one image or more, from 0 to `of`.
        of: ``(images,)``, the amount that would be a share of 1; default 1 for each.
    """
    amounts = amounts.astype(np.float64)
    whole = np.ones(len(amounts)) if of is None else of.astype(np.float64)
    if whole.sum() == 0:  # nothing in any image, on which both agree
        amounts = whole = np.ones(len(amounts))
    amounts, whole = amounts / whole.mean(), whole / whole.mean()
    added = _Z * _Z
    count = len(amounts) + added
    middle = (float(amounts.sum()) + added / 2) / count
    squares = float(((amounts - middle * whole) ** 2).sum()) + added / 2 * (middle**2 + (1 - middle) ** 2)
    half = _Z * math.sqrt(squares) / count
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Interval(round(low, _DIGITS), round(high, _DIGITS), "agresti-coull")


def newcombe(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, groups: Groups | None = None
) -> Interval:
    """The interval of the proportion of hits in `first` minus that in `second`.

    Two models with the same hits still have an interval wider than 0: other images might tell them apart.

    Args:
        first, second: bool ``(n,)``, on the same n images.
    """
    count = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    if count == 0:
        return Interval(-1.0, 1.0, "newcombe")
    hits = both + only_first, both + only_second
    p1, p2 = (number / count for number in hits)
    (low1, high1), (low2, high2) = (_wilson(number, count) for number in hits)
    phi = _correlation(both, only_first, only_second, neither)
    below = _distance(p1 - low1, high2 - p2, phi)
    above = _distance(high1 - p1, p2 - low2, phi)
    return Interval(round(p1 - p2 - below, _DIGITS), round(p1 - p2 + above, _DIGITS), "newcombe")


def percentile(samples: Samples) -> Interval:
    """The central 95 % of the resampled values ``(n,)``; NaN is left out."""
    known = samples[~np.isnan(samples)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (0.0, 0.0)
    return Interval(round(float(low), _DIGITS), round(float(high), _DIGITS), "bootstrap")


@lru_cache(maxsize=1)
def resamples(images: int) -> NDArray[np.uint8]:
    """How often each image is drawn in each resample, ``(RESAMPLES, images)``, read-only.

    Always the same for the same number of images, so that values of two models on the same images can be
    subtracted.
    """
    random = np.random.default_rng(images)
    counts = np.empty((RESAMPLES, images), np.uint8)
    for row in counts:
        row[:] = np.bincount(random.integers(0, images, images, np.int32), minlength=images)
    counts.flags.writeable = False
    return counts


def resampled_sums(values: NDArray[Any]) -> Samples:
    """The sum of one or more values per image over each resample.

    Args:
        values: ``(images,)`` or ``(images, k)``.

    Returns:
        ``(RESAMPLES,)`` or ``(RESAMPLES, k)``.
    """
    counts, numbers = resamples(len(values)), values.astype(np.float64)
    rows = max(1, _BLOCK_NUMBERS // len(values))
    return np.concatenate([counts[start : start + rows] @ numbers for start in range(0, RESAMPLES, rows)])


def _wilson(hits: int, count: int) -> tuple[float, float]:
    if count == 0:
        return 0.0, 1.0
    share, square = hits / count, _Z * _Z
    middle = share + square / (2 * count)
    half = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    low, high = (middle - half) / (1 + square / count), (middle + half) / (1 + square / count)
    # At the ends the formula is exact but for rounding.
    return (0.0 if hits == 0 else low), (1.0 if hits == count else high)


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Correlation of two proportions on the same images, with Newcombe's continuity correction."""
    product = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if product == 0:
        return 0.0
    excess = float(both * neither - only_first * only_second)
    if excess > 0:
        excess = max(0.0, excess - (both + only_first + only_second + neither) / 2)
    return excess / math.sqrt(product)


def _distance(first: float, second: float, phi: float) -> float:
    return math.sqrt(max(0.0, first * first - 2 * phi * first * second + second * second))
