"""The root of a mean squared error as a metric, whose drop between two models has an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import Groups, Interval, MetricValue, Values, mean_error

Floats = NDArray[np.float64]


def root_mean_square(squares: Floats, largest: float, unit: str, groups: Groups | None) -> MetricValue:
    """The metric RMSE.

    Args:
        squares: float64 ``(images,)``, the mean squared error of each image.
        largest: the largest error that an image can have, in `unit`.
        unit: of the errors.
        groups: group of each image.
    """
    mean = mean_error("MSE", squares, unit, largest=largest**2, groups=groups)
    interval = mean.interval
    if interval is not None:
        low, high = (math.sqrt(max(0.0, end)) for end in (interval.low, interval.high))
        interval = Interval(round(low, 6), round(high, 6), interval.method, interval.confidence)
    parts = _RootMeanSquare(squares, largest**2, groups)
    return MetricValue("RMSE", parts.value, interval, unit, parts, lower_is_better=True)


@dataclass(frozen=True, eq=False)
class _RootMeanSquare:
    """The squared errors of images, whose drop is that of the root of their mean.

    Attributes:
        squares: float64 ``(images,)``.
        largest: the largest that an image can have.
        groups: group of each image.
    """

    squares: Floats
    largest: float
    groups: Groups | None = None

    @property
    def value(self) -> float:
        """The root of the mean."""
        return float(np.sqrt(self.squares.mean()))

    def minus(self, other: _RootMeanSquare) -> Any:
        """How much lower this root is than the other: that of the squares over the sum of the roots."""
        roots = self.value + other.value
        if roots <= 0:
            return None
        negative = (
            Values(-one.squares / roots, -one.largest / roots, 0.0, one.groups) for one in (self, other)
        )
        first, second = negative
        return first.minus(second)
