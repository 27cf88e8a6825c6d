"""Precision, recall and F1, of one class or averaged over classes, with their intervals.

Each is a ratio of counts, and an average of ratios is a weighted mean over images: of recall, the weight of
an image is the inverse of the size of its class; of precision, of the number of predictions of the class that
is predicted; of F1, of both. So the limits of a weighted mean hold (`edgevision.metrics.bounded_means`).
Images are the trials; where classes differ in difficulty, this counts the difference as noise, which makes
the intervals wider, not narrower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.bounded_means import Unseen, WeightedMean, limits_of_means
from edgevision.metrics.intervals import Groups, Interval, clopper_pearson, mean_method
from edgevision.metrics.measures import MetricValue, share_of

#: Membership: one bool per image and class.
Members = NDArray[np.bool_]
Floats = NDArray[np.float64]

_DIGITS = 6
_NAMES = ("precision", "recall", "F1")


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Number of images per class, each int64 ``(classes,)``.

    Attributes:
        correct: predicted and true.
        predicted: predicted.
        support: in the ground truth.
    """

    correct: NDArray[np.int64]
    predicted: NDArray[np.int64]
    support: NDArray[np.int64]

    @classmethod
    def of(cls, predicted: Members, true: Members) -> ClassCounts:
        """Count the images, of members ``(images, classes)``."""
        return cls(*(one.sum(axis=0) for one in (predicted & true, predicted, true)))

    @property
    def union(self) -> NDArray[np.bool_]:
        """Classes that the ground truth or the predictions have."""
        return np.asarray((self.predicted > 0) | (self.support > 0))


def macro_metrics(
    predicted: Members,
    true: Members,
    counts: ClassCounts,
    classes: NDArray[np.bool_],
    groups: Groups | None,
) -> tuple[MetricValue, ...]:
    """Precision, recall and F1, averaged over classes.

    Args:
        predicted, true: bool ``(images, all classes)``.
        counts: of these.
        classes: bool ``(all classes,)``, those that are averaged.
        groups: group of each image, `None` if every image is its own.
    """
    averages = [RatioAverage(name, predicted, true, counts, classes, groups) for name in _NAMES]
    return tuple(
        MetricValue(f"macro {one.name}", one.value, interval, observations=one)
        for one, interval in zip(averages, _intervals_of(averages), strict=True)
    )


def class_metrics(
    predicted: Members, true: Members, counts: ClassCounts, groups: Groups | None
) -> list[tuple[MetricValue, ...]]:
    """Precision, recall and F1 of each class in the ground truth.

    Args:
        predicted, true: bool ``(images, classes)``.
        counts: of these.
        groups: group of each image, `None` if every image is its own.
    """
    shown = np.flatnonzero(counts.support > 0).tolist()
    ratios = [_of_class(predicted, true, counts, place, groups) for place in shown]
    if groups is None:
        return [_independent(*of_class) for of_class in ratios]
    intervals = iter(_intervals_of([one for of_class in ratios for one in of_class]))
    unknown = Interval(0.0, 1.0, mean_method(groups))
    return [
        tuple(
            MetricValue(one.name, one.value, next(intervals) or unknown, observations=one) for one in of_class
        )
        for of_class in ratios
    ]


def _intervals_of(averages: Sequence[RatioAverage]) -> list[Interval | None]:
    """The interval of each average; all at once, since the limits are computed in parallel."""
    limits = limits_of_means([one.mean for one in averages])
    return [one.interval_from(ends) for one, ends in zip(averages, limits, strict=True)]


def _of_class(
    predicted: Members, true: Members, counts: ClassCounts, place: int, groups: Groups | None
) -> list[RatioAverage]:
    column, alone = slice(place, place + 1), np.ones(1, bool)
    own = ClassCounts(counts.correct[column], counts.predicted[column], counts.support[column])
    of_class = predicted[:, column], true[:, column]
    return [RatioAverage(name, *of_class, own, alone, groups) for name in _NAMES]


def _independent(precision: RatioAverage, recall: RatioAverage, f1: RatioAverage) -> tuple[MetricValue, ...]:
    """The metrics of one class whose images are independent, with exact intervals."""
    counts = precision.counts
    correct, predictions, support = (
        int(one[0]) for one in (counts.correct, counts.predicted, counts.support)
    )
    return (
        MetricValue(
            "precision", precision.value, clopper_pearson(correct, predictions), observations=precision
        ),
        share_of("recall", recall.predicted[recall.true[:, 0], 0]),
        MetricValue("F1", f1.value, _f1_interval(correct, predictions, support), observations=f1),
    )


def ratio_of(
    name: str, correct: NDArray[np.bool_], predicted: NDArray[np.bool_], *, groups: Groups | None = None
) -> MetricValue:
    """The share of the predictions that are correct, such as a precision, both bool ``(images,)``.

    Args:
        name: of the metric.
        correct: predicted, and rightly so.
        predicted: predicted.
        groups: group of each image, `None` if every image is its own.
    """
    columns = predicted[:, None], correct[:, None]
    counts = ClassCounts.of(*columns)
    precision = RatioAverage("precision", *columns, counts, np.ones(1, bool), groups)
    if groups is None:
        interval = clopper_pearson(int(correct.sum()), int(predicted.sum()))
    else:
        interval = _intervals_of([precision])[0] or Interval(0.0, 1.0, mean_method(groups))
    return MetricValue(name, precision.value, interval, observations=precision)


@dataclass(frozen=True, eq=False)
class RatioAverage:
    """The average over `classes` of precision, recall or F1; see `edgevision.metrics.measures.Observations`.

    Attributes:
        name: ``precision``, ``recall`` or ``F1``.
        predicted, true: bool ``(images, all classes)``.
        counts: of these.
        classes: bool ``(all classes,)``, those that are averaged.
        groups: group of each image, `None` if every image is its own.
    """

    name: str
    predicted: Members
    true: Members
    counts: ClassCounts
    classes: NDArray[np.bool_]
    groups: Groups | None = None

    @property
    def value(self) -> float:
        """The average; a class without what its ratio is of counts as 0."""
        return float(self._ratios[self.classes].sum()) / max(1, self._number)

    @property
    def mean(self) -> WeightedMean:
        """The average over the classes for which the ratio is defined, as a mean over images or groups."""
        defined = self._defined
        ratios, weights = self._ratios, self._inverses * defined / max(1, self._number)
        if not defined.any():
            nothing = np.zeros(len(self.predicted))
            return WeightedMean(nothing, nothing, Unseen(0.0, 0.0), Unseen(0.0, 0.0))
        each = self._weights_of(weights)
        right = self._amounts_of(weights)
        average = float(right.sum()) / float(each.sum())
        largest = float(each.max())
        # One more image that is right, or wrong, where it changes the average most.
        most = [self._parts * float((one * weights)[defined].max()) for one in (1 - ratios, ratios)]
        above = min(most[0] / (1 - average), largest) if average < 1 - 1e-9 else largest
        below = min(most[1] / average, largest) if average > 1e-9 else largest
        return WeightedMean(right, each, Unseen(above, above), Unseen(0.0, below)).by_group(self.groups)

    def interval_from(self, limits: tuple[float, float] | None) -> Interval | None:
        """The 95 % interval, from the limits of `mean`; of a class without a defined ratio it may be any."""
        if limits is None:
            return None
        unknown = 1 - int(self._defined.sum()) / self._number
        low, high = limits[0] * (1 - unknown), limits[1] * (1 - unknown) + unknown + self._bias
        return Interval(round(low, _DIGITS), round(min(1.0, high), _DIGITS), mean_method(self.groups))

    @property
    def _defined(self) -> NDArray[np.bool_]:
        return np.asarray(self.classes & (self._sizes > 0))

    def minus(self, other: RatioAverage) -> WeightedMean | None:
        """As `Observations.minus`: the images that changed have the whole drop between them."""
        if self._number == 0 or other._number == 0:
            return None
        share = (1 / self._number + 1 / other._number) / 2
        changed = np.flatnonzero((self.predicted != other.predicted).any(axis=1))
        amounts = np.zeros(len(self.predicted))
        amounts[changed] = self._changes(other, changed, share) + self._of_new_classes(other, changed)
        weights = (
            self._weights_of(self._inverses * self.classes)
            + other._weights_of(other._inverses * other.classes)
        ) * (share / 2)
        above, below = share * self._most_lost(other), share * other._most_lost(self)
        mean = WeightedMean(amounts, weights, Unseen(above, above), Unseen(-below, below))
        return mean.by_group(self.groups)

    @property
    def _number(self) -> int:
        return int(self.classes.sum())

    @property
    def _parts(self) -> float:
        """Parts that an image which is predicted rightly has in the ratio of its class."""
        return 2.0 if self.name == "F1" else 1.0

    @property
    def _sizes(self) -> Floats:
        """Denominators of the ratios, ``(all classes,)``."""
        predicted, support = (one.astype(np.float64) for one in (self.counts.predicted, self.counts.support))
        return {"precision": predicted, "recall": support, "F1": predicted + support}[self.name]

    @property
    def _inverses(self) -> Floats:
        sizes = self._sizes
        return np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > 0)

    @property
    def _ratios(self) -> Floats:
        return np.asarray(self._parts * self.counts.correct * self._inverses)

    @property
    def _bias(self) -> float:
        """How far F1 of small classes is below its value on many images, to the second order."""
        if self.name != "F1":
            return 0.0
        correct, inverses = self.counts.correct.astype(np.float64), self._inverses
        wrong = self._sizes - 2 * correct
        return float((2 * correct * wrong * inverses**3)[self.classes].sum()) / self._number

    def _weights_of(self, of_class: Floats) -> Floats:
        """The weight of each image, from the weights of its classes."""
        chosen = np.flatnonzero(of_class)
        members = [self.predicted] * (self.name != "recall") + [self.true] * (self.name != "precision")
        return np.asarray(sum(one[:, chosen] @ of_class[chosen] for one in members), np.float64)

    def _amounts_of(self, of_class: Floats) -> Floats:
        chosen = np.flatnonzero(of_class)
        right = self.predicted[:, chosen] & self.true[:, chosen]
        return np.asarray(right @ of_class[chosen], np.float64) * self._parts

    def _changes(self, other: RatioAverage, changed: NDArray[np.intp], share: float) -> Floats:
        """The drop that each changed image causes, ``(changed,)``.

        With a and b for the two parts of a ratio,
        a/b - a'/b' = (a - a') (1/b + 1/b') / 2 + (a + a') / 2 (1/b - 1/b').
        """
        classes = np.flatnonzero(self.classes | other.classes)
        inverses = self._inverses[classes], other._inverses[classes]
        before, after = self.predicted[changed][:, classes], other.predicted[changed][:, classes]
        moved = before.astype(np.float64) - after
        right = moved * self.true[changed][:, classes]
        drops: Floats = right @ (self._parts * (inverses[0] + inverses[1]) / 2)
        if self.name != "recall":
            sizes = (self._sizes - other._sizes)[classes]
            mean = self._parts * (self.counts.correct + other.counts.correct)[classes] / 2
            slopes = np.divide(
                inverses[0] - inverses[1], sizes, out=-inverses[0] * inverses[1], where=sizes != 0
            )
            drops = drops + moved @ (mean * slopes)
        return drops * share

    def _of_new_classes(self, other: RatioAverage, changed: NDArray[np.intp]) -> Floats | float:
        """The drop due to classes that only one of the two averages over, by image that brought them in."""
        if self._number == other._number:
            return 0.0
        sums = [float(one._ratios[one.classes].sum()) for one in (self, other)]
        drop = sum(sums) / 2 * (1 / self._number - 1 / other._number)
        brought = self.predicted[changed][:, ~other.classes].any(axis=1)
        brought |= other.predicted[changed][:, ~self.classes].any(axis=1)
        return np.asarray(brought * (drop / brought.sum()))

    def _most_lost(self, other: RatioAverage) -> float:
        """The most that one more image takes from the other's sum of ratios and adds to this one's."""
        classes = self.classes | other.classes
        # A class without any part in the ratio has all of it at the first image.
        inverses = [np.where(one._sizes > 0, one._inverses, 1.0)[classes] for one in (self, other)]
        ratios = [one._ratios[classes] for one in (self, other)]
        if self.name == "recall":
            return float(np.maximum(*inverses).max())
        gained = self._parts * (1 - ratios[0]) * inverses[0]
        diluted = ratios[1] * inverses[1]
        if self.name == "F1":
            gained = gained + diluted
        return float(gained.max() + diluted.max())


def _f1_interval(correct: int, predicted: int, support: int) -> Interval:
    """The interval of the share correct / (predicted or true), converted to F1, which rises with it."""
    share = clopper_pearson(correct, predicted + support - correct)
    low, high = (round(2 * limit / (1 + limit), _DIGITS) for limit in (share.low, share.high))
    return Interval(low, high, share.method)
