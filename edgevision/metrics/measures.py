"""What one model reaches on a set of images: numbers with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.changes import Confusion, Reliability
from edgevision.metrics.intervals import (
    Interval,
    Samples,
    newcombe,
    percentile,
    resampled_sums,
    wilson,
)


@dataclass(frozen=True, eq=False)
class MetricValue:
    """A number that was measured; higher is better.

    Made by `share_of`, `mean_of` or `resampled`.

    Attributes:
        name: such as ``accuracy``.
        value: in `unit`.
        interval: 95 %.
        unit: ``share`` for numbers of 0…1, or ``dB``.
        per_image: bool hits or float values ``(n,)``, whose mean `value` is, where it is a mean.
        samples: the value on each resample of the images, where there are no hits.
    """

    name: str
    value: float
    interval: Interval
    unit: str = "share"
    per_image: NDArray[Any] | None = field(default=None, repr=False)
    samples: Samples | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class ClassMetricValues:
    """What a model reaches on one class.

    Attributes:
        label: its name.
        support: images, or objects, that truly are of it.
        figures: precision, recall and F1, or the average precisions.
    """

    label: str
    support: int
    metrics: tuple[MetricValue, ...]


@dataclass(frozen=True, eq=False)
class Measures:
    """All that one model reaches against the truth.

    Attributes:
        figures: the task's first one first.
        by_class: of each class that the truth shows.
        errors: float ``(images,)``, how wrong the model is on each image; 0 is right.
        confusion, reliability: of classifiers.
        notes: what a reader must know beside the figures.
    """

    metrics: tuple[MetricValue, ...]
    by_class: tuple[ClassMetricValues, ...]
    errors: NDArray[np.float64]
    confusion: Confusion | None = None
    reliability: Reliability | None = None
    notes: tuple[str, ...] = ()


class LastMeasures:
    """Measures answers, and remembers the last two: so a source is measured once for all its artifacts.

    Args:
        measure: measures the answers on the whole evaluation set.
    """

    def __init__(self, measure: Callable[[Sequence[Any]], Measures]) -> None:
        self._measure = measure
        self._last: list[tuple[Sequence[Any], Measures]] = []

    def __call__(self, answers: Sequence[Any]) -> Measures:
        """What `measure` gives for these very answers, the same object."""
        known = [measures for held, measures in self._last if held is answers]
        measures = known[0] if known else self._measure(answers)
        others = [pair for pair in self._last if pair[0] is not answers]
        self._last = [*others[-1:], (answers, measures)]
        return measures


def share_of(name: str, hits: NDArray[np.bool_]) -> MetricValue:
    """A share of independent trials, bool ``(n,)``, with Wilson's interval."""
    value = float(hits.mean()) if len(hits) else 0.0
    return MetricValue(name, value, wilson(int(hits.sum()), len(hits)), per_image=hits)


def mean_of(name: str, values: NDArray[Any], unit: str = "share") -> MetricValue:
    """The mean of a number an image ``(n,)``, with the bootstrap's interval."""
    samples = resampled_sums(values) / len(values)
    return MetricValue(name, float(values.mean()), percentile(samples), unit, values, samples)


def resampled(name: str, value: float, samples: Samples, interval: Interval | None = None) -> MetricValue:
    """A number that is no mean over images, with its value on each of `resamples`."""
    return MetricValue(name, value, interval or percentile(samples), samples=samples)


def drop_interval(source: MetricValue, artifact: MetricValue) -> Interval | None:
    """95 % interval of what `artifact` lost against `source`, on the same images.

    Newcombe's for hits and misses, else the bootstrap's, both drawn alike. The bootstrap knows nothing
    of what it has not seen: where no resample differs, there is no interval.
    """
    if source.samples is not None and artifact.samples is not None:
        lost = source.samples - artifact.samples
        return percentile(lost) if np.ptp(lost) > 0 else None
    if source.per_image is None or artifact.per_image is None:
        raise TypeError(f"{source.name}: the two figures are not of one kind")
    return newcombe(source.per_image, artifact.per_image)
