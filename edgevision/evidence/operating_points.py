"""Operating points: the decision threshold for a class of interest, and the metrics at that threshold."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.class_ratios import ratio_of
from edgevision.metrics.classification import Truth, members
from edgevision.metrics.comparison import Metric, pair
from edgevision.metrics.formatting import in_unit
from edgevision.metrics.intervals import Interval, clopper_pearson
from edgevision.metrics.measures import Measures, MetricValue, share_of
from edgevision.system.arguments import array, check_lengths, one_of, real_number
from edgevision.system.shown import shown
from edgevision.tasks.classify import Scores
from edgevision.tasks.labels import abbreviated
from edgevision.tasks.score_calibration import OPERATING_METRICS, OperatingPoint

#: The scores of the class of interest, one per image.
ClassScores = NDArray[np.float32]
#: Whether each image belongs to the class of interest.
Positives = NDArray[np.bool_]

#: Points of a curve: more than a chart can show.
MOST_POINTS = 100
_DIGITS = 6


@dataclass(frozen=True)
class OperatingPointSpecification:
    """The metric that the threshold on the score of a class of interest must keep.

    Attributes:
        positive: name of the class of interest.
        metric: ``sensitivity``, ``specificity`` or ``precision``.
        at_least: required value of that metric, above 0 and below 1.

    Raises:
        OptionError: the metric is unknown, or `at_least` is not a number between 0 and 1.
    """

    positive: str
    metric: str
    at_least: float

    def __post_init__(self) -> None:
        if not isinstance(self.positive, str):
            raise OptionError(f"positive: expected the name of a class, got {shown(self.positive)}")
        one_of(self.metric, OPERATING_METRICS, "metric")
        at_least = real_number(self.at_least, self.metric)
        if not 0 < at_least < 1:
            raise OptionError(f"{self.metric}: expected above 0 and below 1, got {at_least:g}")
        object.__setattr__(self, "at_least", at_least)

    @property
    def least_images(self) -> int:
        """Fewest images that can show the required value: positives, or for a specificity negatives."""
        return math.ceil(self.at_least / (1 - self.at_least) - 1e-9)


@dataclass(frozen=True)
class Curve:
    """Sensitivity, specificity and precision by threshold (the ROC curve with precision added).

    The point at which no image is predicted positive (sensitivity 0, specificity 1) is left out. Of more than
    `MOST_POINTS` thresholds, the curve keeps those that are evenly spaced along it.

    Attributes:
        thresholds: in descending order, 0…1.
        sensitivity, specificity, precision: one value per threshold, 0…1.
        area: area under the ROC curve over all thresholds: 0.5 is chance, 1 is perfect.
    """

    thresholds: tuple[float, ...]
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]
    precision: tuple[float, ...]
    area: float

    @classmethod
    def of(cls, scores: ClassScores, positive: Positives) -> Curve:
        """The curve of these images, of which some are positive and some negative.

        Raises:
            OptionError: `scores` is not an array of numbers, or `positive` not one of as many booleans.
        """
        array(scores, "scores", "f", axes=(1,))
        array(positive, "positive", "b", axes=(1,))
        check_lengths(scores=scores, positive=positive)
        counts = _ThresholdCounts.of(scores, positive)
        sensitivity = counts.true_positives / counts.positives
        specificity = 1 - counts.false_positives / counts.negatives
        kept = _evenly(sensitivity - specificity)
        heights, widths = np.append(0, sensitivity), np.diff(1 - specificity, prepend=0)
        area = ((heights[1:] + heights[:-1]) / 2 * widths).sum()
        return cls(
            _rounded(counts.thresholds[kept]),
            _rounded(sensitivity[kept]),
            _rounded(specificity[kept]),
            _rounded(counts.precision[kept]),
            round(float(area), _DIGITS),
        )


@dataclass(frozen=True)
class PointMetrics:
    """Metrics of source and artifact at one threshold.

    Attributes:
        threshold: applied to the scores of both.
        calibration, evaluation: sensitivity, specificity and precision on each set.
    """

    threshold: float
    calibration: tuple[Metric, ...]
    evaluation: tuple[Metric, ...]


@dataclass(frozen=True, eq=False)
class ThresholdedScores:
    """One model's scores of the class of interest.

    Attributes:
        calibration, evaluation: float32 ``(images,)`` of 0…1.
        threshold: the threshold at which this model meets the specification.
    """

    calibration: ClassScores
    evaluation: ClassScores
    threshold: float


@dataclass(frozen=True)
class OperatingEvidence:
    """Measured operating point of an artifact, beside its source.

    Attributes:
        positive: name of the class of interest.
        metric, at_least: the metric that was required, and its required value.
        positives: images of the class: (in the calibration set, in the evaluation set).
        point: metrics at the artifact's threshold, which the bundle holds.
        source_point: metrics at the source's own threshold. Where the two thresholds differ, that of the
            Keras model would be wrong for the artifact.
        source_curve, artifact_curve: on the evaluation set.
        warnings: shown to the reader beside the metrics.
    """

    positive: str
    metric: str
    at_least: float
    positives: tuple[int, int]
    point: PointMetrics
    source_point: PointMetrics
    source_curve: Curve
    artifact_curve: Curve
    warnings: tuple[str, ...] = ()

    @property
    def required(self) -> Metric:
        """The required metric, at the artifact's threshold on the evaluation set."""
        return next(metric for metric in self.point.evaluation if metric.name == self.metric)

    @property
    def requirement(self) -> Requirement:
        """The specification, compared with the lower limit of the metric's 95 % interval."""
        metric = self.required
        low = None if metric.artifact_interval is None else metric.artifact_interval.low
        return Requirement(
            f"{metric.name} for '{self.positive}'", True, self.at_least, metric.artifact, bound=low
        )


def find_class(name: str, labels: Sequence[str]) -> int:
    """Index of the class called `name` in the labels.

    Raises:
        OptionError: no label, or more than one, has this name; suggests the nearest.
    """
    if labels.count(name) == 1:
        return labels.index(name)
    if name in labels:
        raise OptionError(
            f"class '{name}' is in the label list {labels.count(name)} times; give each class its own name"
        )
    nearest = difflib.get_close_matches(name, labels, n=1, cutoff=0.4)
    guess = f"; did you mean '{nearest[0]}'?" if nearest else ""
    raise OptionError(f"class '{name}' is not in the label list ({abbreviated(labels)}){guess}")


def find_threshold(
    scores: ClassScores, positive: Positives, specification: OperatingPointSpecification
) -> float | None:
    """The threshold that meets a specification at the lowest cost; `None` if none does.

    For a sensitivity that is the threshold with the highest specificity, for a specificity or a precision the
    one with the highest sensitivity; of equals, the one that meets the specification by the widest margin.

    A threshold meets a specification if the metric would still hold with one more image, predicted wrongly.
    For a sensitivity or a specificity that is the margin of split conformal prediction (Vovk, Gammerman and
    Shafer 2005, chapter 2; class-conditional): averaged over calibration sets and new images drawn alike, the
    metric is at least the required value; on a single set it may be less. A precision is chosen among
    many thresholds and depends on how frequent the class is, so for it this is a safety margin, no guarantee.

    The threshold lies halfway between two scores that occur, so that neither the rounding of another
    processor nor one step of an int8 score changes a decision; images of equal score stay together.
    Thresholds that predict every image positive, or none, are never chosen.

    Args:
        scores: float32 ``(images,)`` of 0…1, of the class of interest.
        positive: bool ``(images,)``, whether each image belongs to it.
        specification: the metric and its required value.
    """
    counts = _ThresholdCounts.of(scores, positive)
    meets = np.flatnonzero(counts.with_one_more_error(specification.metric)[:-1] >= specification.at_least)
    if len(meets) == 0:
        return None
    hits, false_alarms = counts.true_positives[meets], counts.false_positives[meets]
    keys = (hits, -false_alarms) if specification.metric == "sensitivity" else (-false_alarms, hits)
    place = meets[np.lexsort(keys)[-1]]
    high, low = counts.thresholds[place], counts.thresholds[place + 1]
    middle = np.float32((float(high) + float(low)) / 2)
    return float(middle if middle > low else high)


def point_metrics(scores: ClassScores, positive: Positives, threshold: float) -> tuple[MetricValue, ...]:
    """Sensitivity, specificity and precision at a threshold.

    Args:
        scores: float32 ``(images,)`` of 0…1, of the class of interest.
        positive: bool ``(images,)``, whether each image belongs to it.
        threshold: lowest score that counts as positive, 0…1.
    """
    predicted = scores >= np.float32(threshold)
    correct = predicted & positive
    return (
        share_of("sensitivity", predicted[positive]),
        share_of("specificity", ~predicted[~positive]),
        ratio_of("precision", correct, predicted),
    )


def with_point(measures: Measures, point: OperatingPoint, scores: Scores, truth: Truth) -> Measures:
    """The measures of a classifier, with the metrics at its operating point added.

    Args:
        measures: of the classifier.
        point: its operating point.
        scores: float32 ``(images, classes)``, of the classifier.
        truth: ground truth of the same images.
    """
    positive = members(truth, scores.shape[1])[:, point.class_id]
    if positive.all() or not positive.any():
        count = "every image shows" if positive.all() else "no image shows"
        note = f"{count} '{point.positive}', so the operating point was not evaluated"
        return replace(measures, notes=(*measures.notes, note))
    metrics = point_metrics(scores[:, point.class_id], positive, point.threshold)
    named = (replace(metric, name=f"{metric.name} for '{point.positive}'") for metric in metrics)
    return replace(measures, metrics=(*measures.metrics, *named))


def operating_evidence(
    specification: OperatingPointSpecification,
    source: ThresholdedScores,
    artifact: ThresholdedScores,
    positive: tuple[Positives, Positives],
) -> OperatingEvidence:
    """Measure source and artifact at the operating point of a class of interest.

    Args:
        specification: the required metric.
        source, artifact: scores of each, with its own threshold.
        positive: bool ``(images,)``, whether each image belongs to the class: of the calibration set, and of
            the evaluation set.
    """
    calibration, evaluation = positive
    point = _metrics_at(artifact.threshold, source, artifact, positive)
    evidence = OperatingEvidence(
        specification.positive,
        specification.metric,
        specification.at_least,
        (int(calibration.sum()), int(evaluation.sum())),
        point,
        _metrics_at(source.threshold, source, artifact, positive),
        Curve.of(source.evaluation, evaluation),
        Curve.of(artifact.evaluation, evaluation),
    )
    return replace(evidence, warnings=tuple(_warnings(evidence, positive)))


def _metrics_at(
    threshold: float,
    source: ThresholdedScores,
    artifact: ThresholdedScores,
    positive: tuple[Positives, Positives],
) -> PointMetrics:
    rows = ((source.calibration, artifact.calibration), (source.evaluation, artifact.evaluation))
    calibration, evaluation = (
        pair(point_metrics(a, true, threshold), point_metrics(b, true, threshold))
        for (a, b), true in zip(rows, positive, strict=True)
    )
    return PointMetrics(threshold, calibration, evaluation)


def _warnings(evidence: OperatingEvidence, positive: tuple[Positives, Positives]) -> Iterator[str]:
    metric = evidence.required
    name = f"{metric.name} for '{evidence.positive}'"
    calibration = next(one for one in evidence.point.calibration if one.name == metric.name)
    if _above(calibration.source_interval, metric.source_interval):
        yield (
            f"the source's own {name} is {in_unit(calibration.source, 'share')} on the calibration set but "
            f"{in_unit(metric.source, 'share')} on the evaluation set, more than chance explains: check that "
            f"both sets show the same kind of images and that the model was trained on neither"
        )
    frequencies = [clopper_pearson(int(one.sum()), len(one)) for one in positive]
    if evidence.metric == "precision" and (_above(*frequencies) or _above(*reversed(frequencies))):
        on_calibration, on_evaluation = (in_unit(float(one.mean()), "share") for one in positive)
        yield (
            f"{on_calibration} of the calibration set but {on_evaluation} of the evaluation set is "
            f"'{evidence.positive}'; a precision holds only where the class is as frequent as in the "
            f"calibration set"
        )


def _above(one: Interval | None, other: Interval | None) -> bool:
    return one is not None and other is not None and one.low > other.high


@dataclass(frozen=True, eq=False)
class _ThresholdCounts:
    """Predictions by threshold, at each score that occurs, the highest first.

    Attributes:
        thresholds: float32 ``(scores,)``, descending.
        true_positives, false_positives: float64 ``(scores,)``.
        positives, negatives: images of the class of interest, and all others.
    """

    thresholds: ClassScores
    true_positives: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    positives: int
    negatives: int

    @classmethod
    def of(cls, scores: ClassScores, positive: Positives) -> _ThresholdCounts:
        levels, places = np.unique(-scores, return_inverse=True)
        hits = np.bincount(places, positive, len(levels)).cumsum()
        false_alarms = np.bincount(places, ~positive, len(levels)).cumsum()
        return cls(0 - levels, hits, false_alarms, int(positive.sum()), int((~positive).sum()))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the predictions that are correct, by threshold."""
        return self.true_positives / (self.true_positives + self.false_positives)

    def with_one_more_error(self, metric: str) -> NDArray[np.float64]:
        """A metric by threshold, as if one more image had been seen and predicted wrongly."""
        if metric == "sensitivity":
            return self.true_positives / (self.positives + 1)
        if metric == "specificity":
            return (self.negatives - self.false_positives) / (self.negatives + 1)
        return self.true_positives / (self.true_positives + self.false_positives + 1)


def _evenly(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of at most `MOST_POINTS` of ascending values, evenly spaced, with the first and the last."""
    if len(values) <= MOST_POINTS:
        return np.arange(len(values))
    return np.unique(np.searchsorted(values, np.linspace(values[0], values[-1], MOST_POINTS)))


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(np.round(values.astype(np.float64), _DIGITS).tolist())
