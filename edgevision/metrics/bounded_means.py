"""Confidence limits of weighted means of bounded values, at any number of images, unseen changes included.

An upper limit at the confidence 1 - a is the 1 - a quantile of the mean with random weights, after one
value has been added: the largest that an image could have. The weights are Dirichlet distributed, as in the
Bayesian bootstrap (Rubin 1981, The Annals of Statistics 9:130). The limit is Gaffke's (2005, "Three test
statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable", Mathematical
Methods of Statistics 14:451); see Learned-Miller and Thomas (2020), "A new confidence interval for the mean
of a bounded random variable". For hits and misses it is Clopper and Pearson's, for the drop of a share of
hits it excludes 0 where McNemar's exact test does, and for rare changes with unequal weights it is close to
Fay and Feuer's (1997, Statistics in Medicine 16:791). What no image shows, a bootstrap takes for impossible;
here it is what the added value stands for. With groups, their sums vary as in Obuchowski (1998, Statistics
in Medicine 17:1495), and the added value is a whole group that changes.

The quantile needs no resampling: a sum of weighted exponential variables has a known cumulant function, and
the saddlepoint approximation (Lugannani and Rice 1980; in the form of Barndorff-Nielsen 1986) has an error of
less than 1 % of the tail, to the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Images that belong together, such as those of one patient or video: the index of the group of each image,
#: ``(images,)``. The images of a group depend on each other, so the groups are what is sampled.
Groups = NDArray[np.intp]

_DIGITS = 6
_MOST_STEPS = 100
_FAR = 1e6
_INSIDE = 1 - 1e-12
_EXACT = 1e-7  # of a normal score
#: Numbers processed at a time, which limits the memory.
_BLOCK_NUMBERS = 1_000_000


@dataclass(frozen=True)
class Unseen:
    """The most that one further image could add.

    Attributes:
        amount: of `WeightedMean.amounts`.
        weight: of `WeightedMean.weights`.
    """

    amount: float
    weight: float


@dataclass(frozen=True, eq=False)
class WeightedMean:
    """A mean over independent images, or groups of them: the sum of `amounts` over that of `weights`.

    Attributes:
        amounts: float64 ``(images,)``, value of each image times its weight.
        weights: float64 ``(images,)``, 0 or more.
        above: a further image that would raise the mean most; the upper limit counts it.
        below: one that would lower it most.
    """

    amounts: Floats
    weights: Floats
    above: Unseen
    below: Unseen

    @property
    def value(self) -> float:
        """The mean; 0 where nothing has a weight."""
        total = float(self.weights.sum())
        return float(self.amounts.sum()) / total if total > 0 else 0.0

    @property
    def turned(self) -> WeightedMean:
        """The mean of the negative values."""
        above, below = (Unseen(-one.amount, one.weight) for one in (self.below, self.above))
        return replace(self, amounts=-self.amounts, above=above, below=below)

    def by_group(self, groups: Groups | None) -> WeightedMean:
        """The mean over groups, whose images may all change together.

        A further group is as large as the group of a random image.
        """
        if groups is None:
            return self
        _, places, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        size = float((sizes.astype(np.float64) ** 2).sum() / max(1, sizes.sum()))
        above, below = (Unseen(one.amount * size, one.weight * size) for one in (self.above, self.below))
        return replace(
            self,
            amounts=np.bincount(places, self.amounts, len(sizes)).astype(np.float64),
            weights=np.bincount(places, self.weights, len(sizes)).astype(np.float64),
            above=above,
            below=below,
        )


def limits_of_means(
    means: Sequence[WeightedMean], *, confidence: float = 0.95
) -> list[tuple[float, float] | None]:
    """Lower and upper limit of each mean; `None` where no image has a weight, or none could change it."""
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    known = [mean.weights.sum() > 0 and mean.above.weight > 0 and mean.below.weight > 0 for mean in means]
    measured = [mean for mean, one in zip(means, known, strict=True) if one]
    highs = _uppers(measured, quantile)
    lows = _uppers([mean.turned for mean in measured], quantile)
    limits = (
        (round(-low, _DIGITS) + 0.0, round(high, _DIGITS) + 0.0)
        for low, high in zip(lows, highs, strict=True)
    )
    return [next(limits) if one else None for one in known]


@lru_cache(maxsize=65536)
def upper_limit_of_drop(lost: float, gained: float, count: float, *, confidence: float = 0.95) -> float:
    """The upper limit of the mean of `count` values, `lost` of them 1, `gained` -1 and all others 0.

    As that of `limits_of_means`; it takes a hundredth of the time, for plans that try many counts.

    Args:
        lost, gained: fractions of images are for plans.
        count: images; without any, the limit is 1.
        confidence: of the interval that it is one of two ends of, 0…1.
    """
    if count <= 0:
        return 1.0
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)
    same = max(0.0, count - lost - gained)
    return round(_drop_upper(lost, gained, same, quantile), _DIGITS) + 0.0


def _drop_upper(lost: float, gained: float, same: float, quantile: float) -> float:
    counts = (lost + 1, gained, same)
    total = lost + gained + same
    low, high = (lost - gained) / total, 1.0
    old, old_excess = low, -quantile
    limit = low + (high - low) * min(0.5, (quantile * math.sqrt(lost + gained + 1) + 1) / (total + 1))
    for _ in range(_MOST_STEPS):
        excess = _score_of_drop(limit, counts) - quantile
        if excess < 0:
            low = limit
        else:
            high = limit
        if abs(excess) < 1e-7 or high - low < 1e-9:
            break
        rise = excess - old_excess
        moved = limit - excess * (limit - old) / rise if rise and math.isfinite(rise) else low
        old, old_excess = limit, excess
        limit = moved if low < moved < high else (low + high) / 2
    return limit


def _score_of_drop(limit: float, counts: tuple[float, float, float]) -> float:
    """As `_scores`, for the values 1, -1 and 0."""
    terms = [(one - limit, n) for one, n in zip((1.0, -1.0, 0.0), counts, strict=True) if n > 0]
    lowest, highest = min(c for c, _ in terms), max(c for c, _ in terms)
    if lowest >= 0 or highest <= 0:
        return float("inf" if highest <= 0 else "-inf")
    low, high, t = _INSIDE / lowest, _INSIDE / highest, 0.0
    for _ in range(_MOST_STEPS):
        ratios = [(c / (1 - c * t), n) for c, n in terms]
        slope, curve = sum(n * r for r, n in ratios), sum(n * r * r for r, n in ratios)
        low, high = (t, high) if slope < 0 else (low, t)
        moved = t - slope / curve
        moved = moved if low < moved < high else (low + high) / 2
        if abs(moved - t) <= 1e-11 * (high - low) + 1e-15:
            break
        t = moved
    ratios = [(c / (1 - c * t), n) for c, n in terms]
    curve, skew = sum(n * r * r for r, n in ratios), 2 * sum(n * r**3 for r, n in ratios)
    root = math.copysign(math.sqrt(max(0.0, 2 * sum(n * math.log1p(-c * t) for c, n in terms))), t)
    if abs(root) < 1e-3:
        return root + skew / (6 * curve * math.sqrt(curve))
    return root + math.log(t * math.sqrt(curve) / root) / root


def p_value(mean: WeightedMean) -> float:
    """The p-value of a mean of 0, two-sided: below 0.05 where the limits at 95 % exclude 0."""
    if mean.weights.sum() <= 0:
        return 1.0
    values, counts = _rows([mean, mean.turned])
    scores = _scores(values[:, :, 0], counts, np.zeros(2))
    return min(1.0, 2 * (1 - NormalDist().cdf(float(scores.max()))))


def _uppers(means: Sequence[WeightedMean], quantile: float) -> list[float]:
    """The upper limit of each mean; those of similar length are solved together."""
    order = sorted(range(len(means)), key=lambda place: len(means[place].amounts))
    found = [0.0] * len(means)
    start = 0
    while start < len(order):
        size = 1
        while (
            start + size < len(order)
            and (size + 1) * (len(means[order[start + size]].amounts) + 1) <= _BLOCK_NUMBERS
        ):
            size += 1
        places = order[start : start + size]
        for place, limit in zip(places, _solved([means[place] for place in places], quantile), strict=True):
            found[place] = limit
        start += size
    return found


def _solved(means: Sequence[WeightedMean], quantile: float) -> list[float]:
    """The upper limits, by the secant method within a bracket: the score is nearly linear in the limit."""
    values, counts = _rows(means)
    low = np.array([mean.value for mean in means])
    high = np.maximum(low, [mean.above.amount / mean.above.weight for mean in means])
    narrow, saddle = 1e-9 * (high - low), np.zeros(len(means))
    deviations = (counts * _less(values, low) ** 2).sum(axis=1)
    far = quantile * np.sqrt(deviations) / (values[:, :, 1] * counts).sum(axis=1)
    old, limit = low.copy(), low + np.minimum(high - low, far) / 2
    # Infinite where the limit is beyond everything that can happen.
    old_excess = np.clip(_scores(_less(values, old), counts, saddle) - quantile, -_FAR, _FAR)
    found, rows = high.copy(), np.arange(len(means))
    for _ in range(_MOST_STEPS):
        excess = np.clip(_scores(_less(values, limit), counts, saddle) - quantile, -_FAR, _FAR)
        low, high = np.where(excess < 0, limit, low), np.where(excess < 0, high, limit)
        found[rows] = np.where(np.abs(excess) < _EXACT, limit, high)
        rise = excess - old_excess
        usable = (np.abs(excess) < _FAR) & (np.abs(old_excess) < _FAR) & (rise != 0)
        step = np.where(usable, excess * (limit - old), np.inf) / np.where(usable, rise, 1.0)
        moved = limit - step
        old, old_excess = limit, excess
        limit = np.where((moved > low) & (moved < high), moved, (low + high) / 2)
        going = np.flatnonzero((np.abs(excess) >= _EXACT) & (high - low > narrow))
        if len(going) == 0:
            break
        if len(going) < len(rows):  # the others are solved
            rows, values, counts, saddle = rows[going], values[going], counts[going], saddle[going]
            low, high, narrow = low[going], high[going], narrow[going]
            old, old_excess, limit = old[going], old_excess[going], limit[going]
    return [float(one) for one in found]


def _rows(means: Sequence[WeightedMean]) -> tuple[NDArray[np.float64], Floats]:
    """Distinct (amount, weight) of each mean ``(means, n, 2)``, and how often each occurs ``(means, n)``.

    The added value is among them; rows are filled up with (0, 0), which changes nothing.
    """
    distinct = []
    for mean in means:
        # As one complex number each, which numpy sorts many times faster than rows.
        complexes, repeats = np.unique(mean.amounts + 1j * mean.weights, return_counts=True)
        added = complex(mean.above.amount, mean.above.weight)
        distinct.append((np.append(complexes, added), np.append(repeats, 1)))
    longest = max(len(counts) for _, counts in distinct)
    values = np.zeros((len(means), longest, 2))
    repeated = np.zeros((len(means), longest))
    for place, (pairs, counts) in enumerate(distinct):
        values[place, : len(counts), 0], values[place, : len(counts), 1] = pairs.real, pairs.imag
        repeated[place, : len(counts)] = counts
    return values, repeated


def _less(values: NDArray[np.float64], limit: Floats) -> Floats:
    return np.asarray(values[:, :, 0] - limit[:, None] * values[:, :, 1])


def _scores(coefficients: Floats, counts: Floats, saddle: Floats) -> Floats:
    """Standard normal score of P(sum of coefficients times exponential variables <= 0), one per row.

    Args:
        coefficients, counts: ``(rows, n)``; each coefficient has as many variables as `counts` says.
        saddle: ``(rows,)``, where the search for the saddlepoints begins; they are written to it, since those
            of the next limit are near.
    """
    lowest, highest = coefficients.min(axis=1), coefficients.max(axis=1)
    scores = np.where(highest <= 0, np.inf, -np.inf)
    mixed = np.flatnonzero((lowest < 0) & (highest > 0))
    if len(mixed) == 0:
        return scores
    # In units of the largest coefficient, so that nothing under- or overflows.
    scale = np.maximum(highest, -lowest)[mixed]
    c, n = coefficients[mixed] / scale[:, None], counts[mixed]
    # The ends of the domain, where the cumulant function is infinite, are just outside.
    low, high = (_INSIDE * scale / extreme[mixed] for extreme in (lowest, highest))
    # Not near the ends, where Newton's steps become as small as the distance to them.
    t = np.clip(saddle[mixed] * scale, 0.9 * low, 0.9 * high)
    for _ in range(_MOST_STEPS):
        ratio = c / (1 - c * t[:, None])
        slope, curve = (n * ratio).sum(axis=1), (n * ratio * ratio).sum(axis=1)
        low, high = np.where(slope < 0, t, low), np.where(slope > 0, t, high)
        moved = t - slope / curve
        inside = (moved > low) & (moved < high)
        moved = np.where(inside, moved, (low + high) / 2)
        done = bool(np.all(np.abs(moved - t) <= 1e-11 * (high - low) + 1e-15))
        t = moved
        if done:
            break
    saddle[mixed] = t / scale
    ratio = c / (1 - c * t[:, None])
    curve, skew = (n * ratio * ratio).sum(axis=1), 2 * (n * ratio**3).sum(axis=1)
    root = np.sign(t) * np.sqrt(np.maximum(0.0, 2 * (n * np.log1p(-c * t[:, None])).sum(axis=1)))
    near = np.abs(root) < 1e-3  # where the ratio below is 0 / 0
    safe = np.where(near, 1.0, root)
    corrected = safe + np.log(np.where(near, 1.0, t * np.sqrt(curve) / safe)) / safe
    scores[mixed] = np.where(near, root + skew / (6 * curve**1.5), corrected)
    return scores
