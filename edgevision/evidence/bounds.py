"""The bounds that requirements are judged by, at any confidence, and the images that it takes to show more.

Both follow from the 95 % interval of the evidence. Images like those that were measured vary as these did:
with more of them the interval shrinks, and the measured value stays. The number is a plan, not a promise:
other images have other values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

from edgevision.metrics.bounded_means import upper_limit_of_drop
from edgevision.metrics.intervals import PAIRED, Interval, clopper_pearson
from edgevision.metrics.sample_size import images_needed

#: Limits of intervals are rounded to six digits.
_ROUNDING = 2e-6
_LEAST = 1e-6


class Bound(Protocol):
    """The unfavourable end of an interval."""

    def at(self, images: float, confidence: float) -> float:
        """The end on so many images, at a confidence of 0…1 of the two-sided interval."""
        ...

    @property
    def at_least(self) -> bool:
        """True if it is a lower end."""
        ...


def needed(bound: Bound, limit: float, confidence: float) -> int | None:
    """The fewest images with which a bound keeps a limit; `None` if no number of them would."""
    return images_needed(lambda images: bound.at(images, confidence), limit, bound.at_least)


@dataclass(frozen=True)
class ShareBound:
    """The lower end of the interval of a share, such as an agreement.

    Of a proportion of images it is the exact one (`clopper_pearson`). The interval of a share that is
    measured on parts of images, or on images that belong together, is taken as Wilson's of a proportion on
    fewer, independent images (the design effect, Kish 1965); their number follows from the 95 % interval. At
    another confidence its distance from the share grows as `growth` says.

    Attributes:
        share: measured value, 0…1.
        independent: independent images per image; `None` for a proportion of images.
        confidence: of the interval that their number follows from.
    """

    share: float
    independent: float | None
    confidence: float
    at_least = True

    @classmethod
    def of(cls, images: int, share: float, interval: Interval) -> ShareBound:
        """The bound of a share that was measured on `images` images."""
        exact = cls(share, None, interval.confidence)
        low = min(interval.low, share)
        if abs(exact.at(images, interval.confidence) - low) < _ROUNDING:
            return exact
        # The number of images at which Wilson's lower limit is `low`.
        square = _z_of(interval.confidence) ** 2 * low * (1 - low)
        independent = max(_LEAST, square / max(_LEAST, (share - low) ** 2)) / images
        return cls(share, independent, interval.confidence)

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        if self.independent is None:
            return clopper_pearson(self.share * images, images, confidence=confidence).low
        low = _wilson_low(self.share, images * self.independent, _z_of(self.confidence))
        return max(0.0, self.share - (self.share - low) * growth(self.confidence, confidence))


@dataclass(frozen=True)
class FlipBound:
    """The upper end of the interval of a drop of hits, such as accuracy; see `paired_drop`.

    Attributes:
        drop: measured value, 0…1.
        gained: share of the images that only the artifact hits, which follows from the 95 % interval.
    """

    drop: float
    gained: float
    at_least = False

    @classmethod
    def of(cls, images: int, drop: float, interval: Interval) -> FlipBound:
        """The bound of a drop that was measured on `images` images."""

        def above(gained: float) -> float:
            return cls(drop, gained).at(images, interval.confidence) - interval.high

        return cls(drop, _root(above, max(0.0, -drop), (1 - drop) / 2))

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        lost = max(0.0, self.gained + self.drop)
        return upper_limit_of_drop(lost * images, self.gained * images, images, confidence=confidence)


@dataclass(frozen=True)
class DropBound:
    """The upper end of the interval of any other drop.

    Its distance from the drop has two parts. One is due to images that may differ although none of these did:
    ``z² / (images + z²)``, at most the whole distance. The rest is due to the variance of those that did, and
    is proportional to ``1 / sqrt(images)``. At another confidence both grow as `growth` says.

    Attributes:
        drop: measured value.
        images: number of images that it was measured on.
        confidence: of its interval.
        unseen, seen: the two parts of the distance on these images.
    """

    drop: float
    images: int
    confidence: float
    unseen: float
    seen: float
    at_least = False

    @classmethod
    def of(cls, images: int, drop: float, interval: Interval) -> DropBound:
        """The bound of a drop that was measured on `images` images."""
        square = _z_of(interval.confidence) ** 2
        distance = max(0.0, interval.high - drop)
        unseen = min(distance, square / (images + square))
        return cls(drop, images, interval.confidence, unseen, distance - unseen)

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        square = _z_of(self.confidence) ** 2
        unseen = self.unseen * (self.images + square) / (images + square)
        distance = unseen + self.seen * math.sqrt(self.images / images)
        return self.drop + distance * growth(self.confidence, confidence)


@dataclass(frozen=True)
class Complement:
    """The upper end of the interval of what a share lacks to 1."""

    share: ShareBound
    at_least = False

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        return 1 - self.share.at(images, confidence)


def drop_bound(images: int, drop: float, interval: Interval) -> Bound:
    """The bound of a drop that was measured on `images` images, by the method of its interval."""
    kind = FlipBound if interval.method == PAIRED else DropBound
    return kind.of(images, drop, interval)


def growth(confidence: float, higher: float) -> float:
    """How many times as far the end of an interval is from the measured value at a higher confidence.

    An upper limit of it, that of a value which no image has shown: its end is at ``log(1 / tail)`` parts. The
    more images show it, the nearer is the growth to that of normal quantiles, which is less.

    Args:
        confidence, higher: of two-sided intervals.
    """
    return math.log((1 - higher) / 2) / math.log((1 - confidence) / 2)


def _z_of(confidence: float) -> float:
    """The quantile of the standard normal distribution that ends a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _wilson_low(share: float, count: float, z: float) -> float:
    square = z * z
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (share + square / (2 * count) - half) / (1 + square / count)


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """The number between two others at which a function that rises is 0; one of these if there is none.

    By regula falsi with the Illinois rule, since each value of the function is expensive.
    """
    below, above = rising(low), rising(high)
    if below >= 0:
        return low
    if above <= 0:
        return high
    for _ in range(60):
        middle = (low * above - high * below) / (above - below)
        value = rising(middle)
        if abs(value) < _ROUNDING / 4:
            return middle
        if value > 0:
            high, above, below = middle, value, below / 2
        else:
            low, below, above = middle, value, above / 2
    return high
