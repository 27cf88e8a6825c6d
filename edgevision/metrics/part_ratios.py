"""Ratios of parts of images, such as IoU and Dice of pixels, pooled over images, with their intervals.

Each is a sum over images divided by another, and its average over classes is a weighted mean over images, in
which an image weighs as much as its share of each class. So the limits of a weighted mean hold
(`edgevision.metrics.bounded_means`): images are the trials, not pixels, which depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.bounded_means import WeightedMean
from edgevision.metrics.intervals import Groups, interval_of, share_mean
from edgevision.metrics.measures import MetricValue

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PartRatios:
    """The average over classes of ratios of parts; see `edgevision.metrics.measures.Observations`.

    Attributes:
        amounts: float64 ``(images, classes)``, from 0 to `wholes`: such as the pixels of an intersection.
        wholes: float64 ``(images, classes)``: such as those of a union; no class is without any.
        groups: group of each image, `None` if every image is its own.
    """

    amounts: Floats
    wholes: Floats
    groups: Groups | None = None

    @property
    def value(self) -> float:
        """The average of the ratios."""
        return float((self.amounts.sum(axis=0) / self._sizes).mean())

    @property
    def mean(self) -> WeightedMean:
        """The same as a mean over images or groups."""
        return share_mean(self._per_class(self.amounts), self._per_class(self.wholes), self.groups)

    def minus(self, other: PartRatios) -> WeightedMean | None:
        """As `Observations.minus`: an image has its part in the drop of each class.

        With a and b for the two parts of a ratio,
        a/b - a'/b' = (a - a') (1/b + 1/b') / 2 + (a + a') / 2 (b' - b) / (b b').
        """
        if self.wholes.shape != other.wholes.shape:
            return None
        sizes, others = self._sizes, other._sizes
        middle = (self.amounts.sum(axis=0) + other.amounts.sum(axis=0)) / 2
        drops = (self.amounts - other.amounts) * (1 / sizes + 1 / others) / 2
        drops += (other.wholes - self.wholes) * (middle / (sizes * others))
        weights = (self._per_class(self.wholes) + other._per_class(other.wholes)) / 2
        return share_mean(drops.mean(axis=1), weights, self.groups, lowest=-1.0)

    @property
    def _sizes(self) -> Floats:
        return np.asarray(self.wholes.sum(axis=0))

    def _per_class(self, parts: Floats) -> Floats:
        """For each image, the average over classes of its share of the class."""
        return np.asarray((parts / self._sizes).mean(axis=1))


def part_ratio(
    name: str, amounts: NDArray[Any], wholes: NDArray[Any], *, groups: Groups | None = None
) -> MetricValue:
    """A ratio of parts of images, pooled over images and averaged over classes, with its interval.

    Args:
        name: of the metric.
        amounts: ``(images,)`` or ``(images, classes)``, from 0 to `wholes`.
        wholes: of the same shape; the sum over images is above 0 for each class.
        groups: group of each image, `None` if every image is its own.
    """
    parts, of = (one.astype(np.float64).reshape(len(one), -1) for one in (amounts, wholes))
    ratios = PartRatios(parts, of, groups)
    return MetricValue(name, ratios.value, interval_of(ratios.mean, groups), observations=ratios)
