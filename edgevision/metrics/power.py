"""How likely a set is to show that a limit is kept, by the formulas that the verdict is made with.

For independent images it is exact: the probabilities of all counts that would pass are summed, as no
approximation of rare flips is good. For groups of images it is the share of drawn sets, always the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.binomial import at_most, most_errors
from edgevision.metrics.bounded_means import WeightedMean, limits_of_means, upper_limit_of_drop
from edgevision.metrics.intervals import share_mean
from edgevision.metrics.sample_size import fewest

#: Counts further from their mean are left out: standard deviations, and a few for rare ones.
_DEVIATIONS, _COUNTS = 6.0, 12
#: Sets larger than this are not looked for; of groups, which are drawn, smaller ones.
_MOST_IMAGES, _MOST_IN_GROUPS = 20_000_000, 500_000
#: Sets that are drawn for a power of groups: its standard error is 0.03.
_DRAWS = 200


@dataclass(frozen=True)
class GroupSizes:
    """Groups of a planned set.

    Attributes:
        images_per_group: mean number of images of a group, 1 or more.
        correlation: of the images of a group in what is measured: 0 if they are independent, 1 if they are
            alike.
    """

    images_per_group: float = 1.0
    correlation: float = 1.0

    @property
    def single(self) -> bool:
        """True if every image is a group of its own."""
        return self.images_per_group == 1

    def groups_of(self, images: int) -> int:
        """Number of groups of so many images."""
        return math.ceil(images / self.images_per_group)

    def draw(
        self, images: int, shares: Sequence[float], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images of each kind in each group, ``(groups, kinds)``, and the size of each group.

        Dirichlet-multinomial (Mosimann 1962): the indicator of a kind has `correlation` within a group.

        Args:
            images: images of the set.
            shares: of each kind, with the sum 1.
            seed: of the draw.
        """
        random = np.random.default_rng(seed)
        groups = self.groups_of(images)
        sizes = np.diff(np.round(np.linspace(0, images, groups + 1))).astype(np.int64)
        if self.correlation >= 1:
            kinds = random.multinomial(1, shares, groups) * sizes[:, None]
        elif self.correlation <= 0:
            kinds = random.multinomial(sizes, shares)
        else:
            spread = (1 - self.correlation) / self.correlation
            shapes = np.maximum(np.array(shares) * spread, 1e-12)
            weights = random.standard_gamma(shapes, (groups, len(shares)))
            weights[:, -1] += 1e-300  # a share that rounds to 0 in all kinds is one of the usual kind
            kinds = random.multinomial(sizes, weights / weights.sum(axis=1, keepdims=True))
        return kinds, sizes


def images_with_power(
    power_of: Callable[[int], float], power: float, near: int = 1, most: int = _MOST_IMAGES, parts: int = 500
) -> int | None:
    """Images with which a requirement is shown with the probability `power`; `None` if no number of them is.

    Args:
        power_of: number of images -> probability that they show it. It rises with the number, but for the
            small steps back that whole counts make.
        power: required probability, 0…1.
        near: a number to begin at.
        most: sets larger than this are not looked for.
        parts: the number is exact to one of so many parts of it.
    """
    return fewest(lambda images: power_of(images) >= power, most, near, parts)


def power_of_share(images: int, expected: float, limit: float, *, confidence: float = 0.95) -> float:
    """The probability that a share is shown to be at least `limit`.

    Args:
        images: images of the set.
        expected: the true share, 0…1.
        limit: required share, 0…1.
        confidence: of the two-sided interval (`clopper_pearson`) whose lower limit must keep `limit`.
    """
    if limit <= 0:
        return 1.0
    return at_most(most_errors(images, 1 - limit, (1 + confidence) / 2), images, 1 - expected)


def power_of_paired_drop(
    images: int, lost: float, gained: float, limit: float, *, confidence: float = 0.95
) -> float:
    """The probability that the drop of a share of hits, such as accuracy, is shown to be at most `limit`.

    Args:
        images: images of the set.
        lost: true share of the images that only the source hits, 0…1.
        gained: true share that only the artifact hits, 0…1.
        limit: largest drop, 0…1.
        confidence: of the two-sided interval (`paired_drop`) whose upper limit must keep `limit`.
    """

    def keeps(losses: int, gains: int) -> bool:
        return losses + gains <= images and (
            upper_limit_of_drop(losses, gains, images, confidence=confidence) <= limit
        )

    total, most = 0.0, -1
    spread = _DEVIATIONS * math.sqrt(images * gained * (1 - gained)) + _COUNTS
    first, last = max(0, round(images * gained - spread)), min(images, round(images * gained + spread))
    for gains in range(first, last + 1):
        probability = _probability(gains, images, gained)
        while keeps(most + 1, gains):
            most += 1
        if most >= 0 and probability > 0:
            others = images - gains
            total += probability * at_most(most, others, lost / (1 - gained))
    return min(1.0, total)


def images_in_groups_with_power(
    sizes: GroupSizes,
    shares: Sequence[float],
    values: Sequence[float],
    limit: float,
    power: float,
    near: int,
    *,
    confidence: float = 0.95,
) -> int | None:
    """Images in groups with which a mean is shown to keep its limit; `None` if no number of them is found.

    Args:
        sizes: the groups.
        shares: of the kinds of images, with the sum 1.
        values: of each kind, in what is measured; the last kind is the usual one. With values of -1, 0 and 1
            it is a drop, at most `limit`; with 0 and 1 a share, at least `limit`.
        limit: of the mean.
        power: required probability, 0…1.
        near: a number to begin at, such as that of independent images.
        confidence: of the two-sided interval by group (`WeightedMean.by_group`).
    """
    at_least = min(values) >= 0

    def power_of(images: int) -> float:
        means = [_mean_of(sizes.draw(images, shares, seed), values) for seed in range(_DRAWS)]
        limits = limits_of_means(means, confidence=confidence)
        shown = [one is not None and (one[0] >= limit if at_least else one[1] <= limit) for one in limits]
        return float(np.mean(shown))

    return images_with_power(power_of, power, near, _MOST_IN_GROUPS, parts=40)


def _mean_of(drawn: tuple[NDArray[np.int64], NDArray[np.int64]], values: Sequence[float]) -> WeightedMean:
    kinds, sizes = drawn
    amounts = (kinds * np.array(values, np.float64)).sum(axis=1)
    return share_mean(amounts, sizes.astype(np.float64), lowest=min(values))


def _probability(count: int, trials: int, share: float) -> float:
    """Of exactly `count` hits in independent trials."""
    if share <= 0.0 or share >= 1.0:
        return float(count == (0 if share <= 0.0 else trials))
    log = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(log + count * math.log(share) + (trials - count) * math.log1p(-share))
