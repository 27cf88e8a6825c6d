"""The bounds that requirements are judged by, at any confidence, and how many images would move them far enough.

Both follow from the 95 % interval of the evidence. Images like those that were measured vary as these did: with
more of them the interval shrinks, and the measured value stays. The number is a plan, not a promise: other
images have other values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

from edgevision.metrics.intervals import Interval
from edgevision.metrics.sample_size import images_needed


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

    The interval of a share that is measured on parts of images, or on images that belong together, is taken as
    Wilson's on fewer, independent images (the design effect, Kish 1965); their number follows from the 95 %
    interval. For a proportion of images they are the images.

    Attributes:
        share: measured value, 0…1.
        independent_share: independent images per image.
    """

    share: float
    independent_share: float
    at_least = True

    @classmethod
    def of(cls, images: int, share: float, interval: Interval) -> ShareBound:
        """The bound of a share that was measured on `images` images."""
        z = z_of(interval.confidence)
        low = min(interval.low, share)
        independent = _root(lambda count: _wilson_low(share, count, z) - low, images)
        return cls(share, independent / images)

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        return _wilson_low(self.share, images * self.independent_share, z_of(confidence))


@dataclass(frozen=True)
class DropBound:
    """The upper end of the interval of a drop.

    Its distance from the drop has two parts. One is due to images that may differ although none of these did:
    ``z² / (images + z²)``, at most the whole distance. The rest is due to the variance of those that did, and
    is proportional to ``z / sqrt(images)``.

    Attributes:
        drop: measured value.
        images: number of images that it was measured on.
        z: quantile of the normal distribution of its interval.
        unseen, seen: the two parts of the distance on these images.
    """

    drop: float
    images: int
    z: float
    unseen: float
    seen: float
    at_least = False

    @classmethod
    def of(cls, images: int, drop: float, interval: Interval) -> DropBound:
        """The bound of a drop that was measured on `images` images."""
        z = z_of(interval.confidence)
        distance = max(0.0, interval.high - drop)
        unseen = min(distance, z * z / (images + z * z))
        return cls(drop, images, z, unseen, distance - unseen)

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        z = z_of(confidence)
        unseen = self.unseen * (z / self.z) ** 2 * (self.images + self.z**2) / (images + z**2)
        return self.drop + unseen + self.seen * z / self.z * math.sqrt(self.images / images)


@dataclass(frozen=True)
class Complement:
    """The upper end of the interval of what a share lacks to 1."""

    share: ShareBound
    at_least = False

    def at(self, images: float, confidence: float) -> float:
        """As `Bound.at`."""
        return 1 - self.share.at(images, confidence)


def z_of(confidence: float) -> float:
    """The quantile of the standard normal distribution that ends a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _wilson_low(share: float, count: float, z: float) -> float:
    square = z * z
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (share + square / (2 * count) - half) / (1 + square / count)


def _root(rising: Callable[[float], float], start: float) -> float:
    """The number above 0 at which a function that rises is 0; found from `start`."""
    low = high = float(start)
    while rising(low) > 0 and low > 1e-3:
        low /= 2
    while rising(high) < 0 and high < 1e9:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
