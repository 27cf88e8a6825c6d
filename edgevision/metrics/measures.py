"""Measurements of one model on a set of images: metrics with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.bounded_means import Unseen, WeightedMean, limits_of_means, p_value
from edgevision.metrics.changes import Confusion
from edgevision.metrics.intervals import (
    Groups,
    Interval,
    interval_of,
    mean_method,
    paired_drop,
    proportion,
    share_mean,
)
from edgevision.metrics.paired_tests import mcnemar
from edgevision.metrics.reliability import Reliability

_RESOLUTION = 1e-6  # of the limits of intervals
_SIGNIFICANCE = 0.05


class Observations(Protocol):
    """The images that a metric was measured on, so that two models can be compared image by image."""

    @property
    def groups(self) -> Groups | None:
        """Group of each image, `None` if every image is its own."""
        ...

    def minus(self, other: Any) -> WeightedMean | None:
        """The drop from this metric to the same one of another model, as a mean over images or groups.

        `None` if nothing bounds it.
        """
        ...


@dataclass(frozen=True, eq=False)
class MetricValue:
    """A metric of one model.

    Attributes:
        name: such as ``accuracy``.
        value: in `unit`.
        interval: 95 % interval; `None` if nothing bounds the value.
        unit: ``share`` for values of 0…1, ``dB``, or the unit of what is measured, such as ``years``.
        observations: what `drop_intervals` compares, as `Observations`.
        lower_is_better: True for an error, whose `observations` are its negative.
    """

    name: str
    value: float
    interval: Interval | None
    unit: str = "share"
    observations: Any = field(default=None, repr=False)
    lower_is_better: bool = False


@dataclass(frozen=True, eq=False)
class ClassMetricValues:
    """The metrics of one model on one class.

    Attributes:
        label: name of the class.
        support: images, or objects, of the class in the ground truth.
        metrics: precision, recall and F1, or the average precisions.
    """

    label: str
    support: int
    metrics: tuple[MetricValue, ...]


@dataclass(frozen=True, eq=False)
class Measures:
    """Measurements of one model against the ground truth.

    Attributes:
        metrics: the task's main metric first.
        by_class: metrics of each class in the ground truth.
        errors: float ``(images,)``, error of the model on each image; 0 is correct.
        confusion, reliability: for classifiers.
        notes: remarks that a reader needs to interpret the metrics.
    """

    metrics: tuple[MetricValue, ...]
    by_class: tuple[ClassMetricValues, ...]
    errors: NDArray[np.float64]
    confusion: Confusion | None = None
    reliability: Reliability | None = None
    notes: tuple[str, ...] = ()


class LastMeasures:
    """A cache of the last two measurements, so that a source is measured once for all its artifacts.

    Args:
        measure: measures predictions on the whole evaluation set.
    """

    def __init__(self, measure: Callable[[Sequence[Any]], Measures]) -> None:
        self._measure = measure
        self._last: list[tuple[Sequence[Any], Measures]] = []

    def __call__(self, answers: Sequence[Any]) -> Measures:
        """The measurements of `answers`, computed once per object."""
        cached = [measures for measured, measures in self._last if measured is answers]
        measures = cached[0] if cached else self._measure(answers)
        others = [pair for pair in self._last if pair[0] is not answers]
        self._last = [*others[-1:], (answers, measures)]
        return measures


@dataclass(frozen=True, eq=False)
class Hits:
    """Hits and misses of independent trials; see `Observations`.

    Attributes:
        hits: bool ``(n,)``.
        groups: group of each.
    """

    hits: NDArray[np.bool_]
    groups: Groups | None = None

    def minus(self, other: Hits) -> WeightedMean | None:
        """As `Observations.minus`."""
        changes = self.hits.astype(np.float64) - other.hits
        return share_mean(changes, np.ones(len(changes)), self.groups, lowest=-1.0)

    def drop_interval(self, other: Hits) -> Interval:
        """The interval of the drop if the trials are independent, on the side of 0 that McNemar's test says.

        The two are one test, but the limits are computed with a small error.
        """
        lost, gained = int((self.hits & ~other.hits).sum()), int((~self.hits & other.hits).sum())
        interval = paired_drop(lost, gained, len(self.hits))
        if mcnemar(self.hits, other.hits) >= _SIGNIFICANCE:
            return replace(interval, low=min(interval.low, 0.0), high=max(interval.high, 0.0))
        if lost > gained:
            return replace(interval, low=max(interval.low, _RESOLUTION))
        return replace(interval, high=min(interval.high, -_RESOLUTION))


@dataclass(frozen=True, eq=False)
class Values:
    """One value per image; see `Observations`.

    A further image may be as bad as `lowest` for one model and as good as its best for the other.

    Attributes:
        values: float ``(images,)``; infinite where an image has no error.
        lowest, highest: the worst and the best value that an image can have.
        groups: group of each image.
    """

    values: NDArray[np.float64]
    lowest: float
    highest: float
    groups: Groups | None = None

    @property
    def mean(self) -> WeightedMean:
        """The mean of the finite values, over images or groups."""
        finite = np.isfinite(self.values)
        known = self.values[finite]
        low, high = min(self.lowest, float(known.min())), max(self.highest, float(known.max()))
        mean = WeightedMean(known, np.ones(len(known)), Unseen(high, 1.0), Unseen(low, 1.0))
        return mean.by_group(None if self.groups is None else self.groups[finite])

    def minus(self, other: Values) -> WeightedMean | None:
        """As `Observations.minus`; without a bound if only one of the two has an infinite value."""
        finite = np.isfinite(self.values)
        if (finite != np.isfinite(other.values)).any() or not finite.any():
            return None
        first, second = self.values[finite], other.values[finite]
        lowest = min(self.lowest, float(first.min()), float(second.min()))
        above, below = Unseen(float(first.max()) - lowest, 1.0), Unseen(lowest - float(second.max()), 1.0)
        groups = None if self.groups is None else self.groups[finite]
        return WeightedMean(first - second, np.ones(len(first)), above, below).by_group(groups)


@dataclass(frozen=True, eq=False)
class Contributions:
    """The linear contribution of each image to a metric that is no mean; see `Observations`.

    Attributes:
        amounts: float64 ``(images,)``, with the metric as their sum.
        weights: float64 ``(images,)``, with the sum 1.
        most_gained, most_lost: the most that a further image could add to the metric of one model, or take
            from it.
        groups: group of each image.
        optimism: how far the metric may be above its value on many images, on average.
    """

    amounts: NDArray[np.float64]
    weights: NDArray[np.float64]
    most_gained: float
    most_lost: float
    groups: Groups | None = None
    optimism: float = 0.0

    @property
    def mean(self) -> WeightedMean:
        """The metric as a mean over images or groups."""
        above, below = Unseen(self.most_gained, self.most_gained), Unseen(0.0, self.most_lost)
        return WeightedMean(self.amounts, self.weights, above, below).by_group(self.groups)

    def interval_from(self, limits: tuple[float, float] | None) -> Interval | None:
        """The 95 % interval, from the limits of `mean`."""
        if limits is None:
            return None
        low = round(max(0.0, limits[0] - self.optimism), 6)
        return Interval(low, min(1.0, limits[1]), mean_method(self.groups))

    def minus(self, other: Contributions) -> WeightedMean | None:
        """As `Observations.minus`."""
        above, below = self.most_gained + other.most_lost, other.most_gained + self.most_lost
        return WeightedMean(
            self.amounts - other.amounts,
            (self.weights + other.weights) / 2,
            Unseen(above, above),
            Unseen(-below, below),
        ).by_group(self.groups)


def share_of(name: str, hits: NDArray[np.bool_], *, groups: Groups | None = None) -> MetricValue:
    """The share of hits among independent trials, bool ``(n,)``, with the exact interval.

    Args:
        name: of the metric.
        hits: bool ``(n,)``.
        groups: group of each trial, `None` if every trial is its own.
    """
    value = float(hits.mean()) if len(hits) else 0.0
    return MetricValue(
        name, value, proportion(hits, groups=groups), observations=Hits(hits.astype(bool), groups)
    )


def mean_of(
    name: str,
    values: NDArray[Any],
    unit: str = "share",
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    groups: Groups | None = None,
) -> MetricValue:
    """The mean of one value per image, ``(n,)``, one or more of them finite.

    Args:
        name: of the metric.
        values: one per image; an infinite one is left out of the mean.
        unit: ``share`` or ``dB``.
        lowest, highest: the worst and the best value that an image can have.
        groups: group of each image, `None` if every image is its own.
    """
    measured = Values(values.astype(np.float64), lowest, highest, groups)
    value = float(measured.values[np.isfinite(measured.values)].mean())
    return MetricValue(name, value, interval_of(measured.mean, groups), unit, measured)


def mean_error(
    name: str, errors: NDArray[Any], unit: str, *, largest: float, groups: Groups | None = None
) -> MetricValue:
    """The mean of an error per image, ``(n,)``, of 0 or more; lower is better.

    Args:
        name: of the metric.
        errors: one per image, in `unit`.
        unit: such as ``years``.
        largest: the largest error that an image can have.
        groups: group of each image, `None` if every image is its own.
    """
    measured = Values(errors.astype(np.float64), 0.0, largest, groups)
    interval = interval_of(measured.mean, groups)
    turned = Values(-measured.values, -largest, 0.0, groups)
    return MetricValue(name, float(measured.values.mean()), interval, unit, turned, lower_is_better=True)


def drop_intervals(
    pairs: Sequence[tuple[MetricValue, MetricValue]],
) -> list[Interval | None]:
    """95 % interval of each drop from the first to the second metric, measured on the same images.

    `None` if nothing bounds a drop. An interval excludes 0 where `significance` finds a p-value below 0.05.
    """
    found: list[Interval | None] = [None] * len(pairs)
    means: dict[int, WeightedMean] = {}
    for place, (source, artifact) in enumerate(pairs):
        if _are_independent_hits(source, artifact):
            found[place] = source.observations.drop_interval(artifact.observations)
        elif (mean := _drop(source, artifact)) is not None:
            means[place] = mean
    # All at once, since the limits are computed in parallel.
    for place, limits in zip(means, limits_of_means(list(means.values())), strict=True):
        if limits is not None:
            found[place] = Interval(*limits, mean_method(pairs[place][0].observations.groups))
    return found


def drop_interval(source: MetricValue, artifact: MetricValue) -> Interval | None:
    """95 % interval of the drop from `source` to `artifact`; see `drop_intervals`."""
    return drop_intervals([(source, artifact)])[0]


def significance(source: MetricValue, artifact: MetricValue) -> tuple[str, float]:
    """The significance test of a drop, and its two-sided p-value.

    Returns:
        ``mcnemar`` for hits and misses (exact; McNemar 1947), else ``gaffke``, the test that the interval of
        the drop is made of; it holds its level at any number of images.
    """
    if _are_independent_hits(source, artifact):
        return "mcnemar", mcnemar(source.observations.hits, artifact.observations.hits)
    mean = _drop(source, artifact)
    return "gaffke", 1.0 if mean is None else p_value(mean)


def _drop(source: MetricValue, artifact: MetricValue) -> WeightedMean | None:
    first, second = source.observations, artifact.observations
    if first is None or type(first) is not type(second):
        raise TypeError(f"{source.name}: the two metrics differ and cannot be compared")
    mean: WeightedMean | None = first.minus(second)
    return mean


def _are_independent_hits(source: MetricValue, artifact: MetricValue) -> bool:
    first, second = source.observations, artifact.observations
    return isinstance(first, Hits) and isinstance(second, Hits) and first.groups is None
