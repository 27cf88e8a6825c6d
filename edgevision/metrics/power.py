"""How likely a set is to show that a limit is kept, by the formulas that the verdict is made with.

Exact: the probabilities of all counts that would pass are summed, as no approximation of rare flips is good.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edgevision.metrics.intervals import clopper_pearson, paired_drop
from edgevision.metrics.quantiles import beta_share_below

#: Counts further from their mean are left out: standard deviations, and a few for rare ones.
_DEVIATIONS, _COUNTS = 6.0, 12
#: Sets larger than this are not looked for.
_MOST_IMAGES = 20_000_000


def images_with_power(power_of: Callable[[int], float], power: float) -> int | None:
    """Images with which a requirement is shown with the probability `power`; `None` if no number of them is.

    Args:
        power_of: number of images -> probability that they show it. It rises with the number, but for the
            small steps back that whole counts make.
        power: required probability, 0…1.
    """
    enough = 1
    while power_of(enough) < power:
        if enough >= _MOST_IMAGES:
            return None
        enough *= 2
    too_few = enough // 2
    while enough - too_few > max(1, enough // 1000):
        middle = (enough + too_few) // 2
        too_few, enough = (too_few, middle) if power_of(middle) >= power else (middle, enough)
    return enough


def power_of_share(images: int, expected: float, limit: float, *, confidence: float = 0.95) -> float:
    """The probability that a share is shown to be at least `limit`.

    Args:
        images: images of the set.
        expected: the true share, 0…1.
        limit: required share, 0…1.
        confidence: of the two-sided interval (`clopper_pearson`) whose lower limit must keep `limit`.
    """
    if clopper_pearson(images, images, confidence=confidence).low < limit:
        return 0.0
    too_few, enough = -1, images
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        keeps = clopper_pearson(middle, images, confidence=confidence).low >= limit
        too_few, enough = (too_few, middle) if keeps else (middle, enough)
    return _at_least(enough, images, expected)


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
            paired_drop(losses, gains, images, confidence=confidence).high <= limit
        )

    total, most, probability = 0.0, -1, _probability(0, images, gained)
    spread = _DEVIATIONS * math.sqrt(images * gained * (1 - gained)) + _COUNTS
    first, last = max(0, round(images * gained - spread)), min(images, round(images * gained + spread))
    for gains in range(first, last + 1):
        probability = _probability(gains, images, gained)
        while keeps(most + 1, gains):
            most += 1
        if most >= 0 and probability > 0:
            others = images - gains
            total += probability * (1 - _at_least(most + 1, others, lost / (1 - gained)))
    return min(1.0, total)


def _probability(count: int, trials: int, share: float) -> float:
    """Of exactly `count` hits in independent trials."""
    if share <= 0.0 or share >= 1.0:
        return float(count == (0 if share <= 0.0 else trials))
    log = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(log + count * math.log(share) + (trials - count) * math.log1p(-share))


def _at_least(count: int, trials: int, share: float) -> float:
    """The probability of `count` hits or more in independent trials."""
    if count <= 0:
        return 1.0
    return 0.0 if count > trials else beta_share_below(share, count, trials - count + 1)
