"""Measurements of one model on a set of images: metrics with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.changes import Confusion
from edgevision.metrics.intervals import (
    Groups,
    Interval,
    Samples,
    newcombe,
    percentile,
    resampled_sums,
    wilson,
)
from edgevision.metrics.reliability import Reliability


@dataclass(frozen=True, eq=False)
class MetricValue:
    """A metric of one model; higher is better.

    Created by `share_of`, `mean_of` or `resampled`.

    Attributes:
        name: such as ``accuracy``.
        value: in `unit`.
        interval: 95 % interval; `None` if the images cannot bound the value, because all have the same.
        unit: ``share`` for values of 0…1, or ``dB``.
        per_image: bool hits or float values ``(n,)`` with the mean `value`; `None` if it is not a mean.
        samples: the value on each resample of the images; `None` for a share of hits.
    """

    name: str
    value: float
    interval: Interval | None
    unit: str = "share"
    per_image: NDArray[Any] | None = field(default=None, repr=False)
    samples: Samples | None = field(default=None, repr=False)


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


def share_of(name: str, hits: NDArray[np.bool_], *, groups: Groups | None = None) -> MetricValue:
    """The share of hits among independent trials, bool ``(n,)``, with Wilson's interval."""
    value = float(hits.mean()) if len(hits) else 0.0
    return MetricValue(name, value, wilson(int(hits.sum()), len(hits)), per_image=hits)


def mean_of(
    name: str, values: NDArray[Any], unit: str = "share", *, groups: Groups | None = None
) -> MetricValue:
    """The mean of one value per image, ``(n,)``, with a bootstrap interval if the values differ."""
    samples = resampled_sums(values) / len(values)
    interval = percentile(samples) if np.ptp(values) > 0 else None
    return MetricValue(name, float(values.mean()), interval, unit, values, samples)


def resampled(name: str, value: float, samples: Samples, interval: Interval | None = None) -> MetricValue:
    """A metric that is not a mean over images, with its value on each resample."""
    return MetricValue(name, value, interval or percentile(samples), samples=samples)


def drop_interval(source: MetricValue, artifact: MetricValue) -> Interval | None:
    """95 % interval of the drop from `source` to `artifact`, measured on the same images.

    Newcombe's for hits and misses, otherwise the bootstrap's on the same resamples of both. If no resample
    differs, the bootstrap cannot bound the drop, and there is no interval.
    """
    if source.samples is not None and artifact.samples is not None:
        lost = source.samples - artifact.samples
        return percentile(lost) if np.ptp(lost) > 0 else None
    if source.per_image is None or artifact.per_image is None:
        raise TypeError(f"{source.name}: the two metrics differ and cannot be compared")
    return newcombe(source.per_image, artifact.per_image)
