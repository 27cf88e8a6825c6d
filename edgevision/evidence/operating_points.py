"""Operating points: from which score on a class of interest is decided for, and what that reaches."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.classification import Truth, members
from edgevision.metrics.comparison import Metric, pair
from edgevision.metrics.formatting import in_unit
from edgevision.metrics.intervals import Interval, resampled_sums, wilson
from edgevision.metrics.measures import Measures, MetricValue, resampled, share_of
from edgevision.tasks.classify import Scores
from edgevision.tasks.score_calibration import OperatingPoint, check_specification

#: Of a class of interest, one number an image.
ClassScores = NDArray[np.float32]
#: Whether each image is of it.
Positives = NDArray[np.bool_]

#: Points of a curve: more than a picture shows.
MOST_POINTS = 100
_DIGITS = 6


@dataclass(frozen=True)
class OperatingPointSpecification:
    """What the threshold on the score of a class of interest is to keep.

    Attributes:
        positive: the class's name.
        figure: ``sensitivity``, ``specificity`` or ``precision``.
        at_least: of that figure; above 0 and below 1.

    Raises:
        OptionError: the figure is unknown, or the share is none that images can show.
    """

    positive: str
    metric: str
    at_least: float

    def __post_init__(self) -> None:
        check_specification(self.metric, self.at_least)

    @property
    def least_images(self) -> int:
        """How many images can show it: of the class, or for a specificity of the others."""
        return math.ceil(self.at_least / (1 - self.at_least) - 1e-9)


@dataclass(frozen=True)
class Curve:
    """What decisions for a class of interest reach, by threshold.

    It begins where nothing is decided for: sensitivity 0 and specificity 1, a point that is left out. Of
    more than `MOST_POINTS` thresholds, those are kept that lie evenly along the way to sensitivity 1 and
    specificity 0.

    Attributes:
        thresholds: falling, 0…1.
        sensitivity, specificity, precision: one a threshold, 0…1.
        area: under sensitivity over 1 - specificity, of all thresholds: 0.5 is chance, 1 is perfect.
    """

    thresholds: tuple[float, ...]
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]
    precision: tuple[float, ...]
    area: float

    @classmethod
    def of(cls, scores: ClassScores, positive: Positives) -> Curve:
        """Of images of which some are of the class and some are not."""
        counts = _ThresholdCounts.of(scores, positive)
        sensitivity, specificity = counts.found / counts.positives, 1 - counts.wrong / counts.negatives
        kept = _evenly(sensitivity - specificity)
        heights, widths = np.append(0, sensitivity), np.diff(1 - specificity, prepend=0)
        area = ((heights[1:] + heights[:-1]) / 2 * widths).sum()
        return cls(
            _rounded(counts.thresholds[kept]),
            _rounded(sensitivity[kept]),
            _rounded(specificity[kept]),
            _rounded((counts.found / (counts.found + counts.wrong))[kept]),
            round(float(area), _DIGITS),
        )


@dataclass(frozen=True)
class PointMetrics:
    """Source and artifact at one threshold.

    Attributes:
        threshold: on the scores of both.
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
        threshold: that the model needs for what was required.
    """

    calibration: ClassScores
    evaluation: ClassScores
    threshold: float


@dataclass(frozen=True)
class OperatingEvidence:
    """What decisions for a class of interest reach.

    Attributes:
        positive: the class's name.
        figure, at_least: what was required.
        positives: images of the class: (in the calibration set, in the evaluation set).
        point: at the threshold that the bundle holds.
        source_point: at the threshold that the source needs for the same: where the two differ, a threshold
            of the Keras model would have meant something else on the artifact.
        source_curve, artifact_curve: on the evaluation set.
        warnings: what a reader must know.
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
        """The metric that was required, at the artifact's threshold on the evaluation set."""
        return next(metric for metric in self.point.evaluation if metric.name == self.metric)

    @property
    def requirement(self) -> Requirement:
        """What was required, held against the upper end of its interval: the least that can be ruled out."""
        metric = self.required
        highest = metric.artifact if metric.artifact_interval is None else metric.artifact_interval.high
        what = f"{metric.name} for '{self.positive}', highest not ruled out"
        return Requirement(what, True, self.at_least, highest)


def find_class(name: str, labels: Sequence[str]) -> int:
    """The place of the class called `name` among the labels.

    Raises:
        OptionError: there is none, or several; names the nearest.
    """
    if labels.count(name) == 1:
        return labels.index(name)
    if name in labels:
        raise OptionError(
            f"class '{name}': {labels.count(name)} of the labels have this name; give each its own"
        )
    nearest = difflib.get_close_matches(name, labels, n=1, cutoff=0.4)
    guess = f"did you mean '{nearest[0]}'? " if nearest else ""
    told = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
    raise OptionError(f"no class '{name}'; {guess}there are: {told}")


def find_threshold(
    scores: ClassScores, positive: Positives, specification: OperatingPointSpecification
) -> float | None:
    """The threshold that keeps a specification, and gives away the least for it; `None` where none does.

    For a sensitivity it is the one with the highest specificity, for a specificity or a precision the one
    with the highest sensitivity; of several alike in that, the one that keeps the specification by the most.

    A threshold keeps a specification if the figure holds as though one more image had been seen and decided
    wrongly. For a sensitivity or a specificity that is the margin of split conformal prediction (Vovk,
    Gammerman and Shafer 2005, chapter 2; class-conditional): over all calibration sets and new images that
    are like each other the figure is at least the required one in the mean, and of one set it may be
    less. For a precision, of which many thresholds are tried and which changes with how frequent the
    class is, it is a margin and no more.

    It lies half way between two scores that the images have, so that what other processors round
    otherwise, or a step of an int8 score, is not what decides; images of equal score stay together.
    One that decides for every image, or for none, keeps nothing.

    Args:
        scores: float32 ``(images,)`` of 0…1, of the class.
        positive: bool ``(images,)``, whether each is of it.
        specification: what is to be kept.
    """
    counts = _ThresholdCounts.of(scores, positive)
    holds = np.flatnonzero(_with_one_wrong(counts, specification.metric)[:-1] >= specification.at_least)
    if len(holds) == 0:
        return None
    found, spared = counts.found[holds], -counts.wrong[holds]
    first, then = (spared, found) if specification.metric == "sensitivity" else (found, spared)
    place = holds[np.lexsort((then, first))[-1]]
    high, low = counts.thresholds[place], counts.thresholds[place + 1]
    middle = np.float32((float(high) + float(low)) / 2)
    return float(middle if middle > low else high)


def point_metrics(scores: ClassScores, positive: Positives, threshold: float) -> tuple[MetricValue, ...]:
    """Sensitivity, specificity and precision of deciding for a class from a threshold on.

    Args:
        scores: float32 ``(images,)`` of 0…1, of the class.
        positive: bool ``(images,)``, whether each is of it.
        threshold: 0…1.
    """
    decided = scores >= np.float32(threshold)
    right = decided & positive
    found, chosen = int(right.sum()), int(decided.sum())
    samples = resampled_sums(np.column_stack([right, decided]))
    precisions = np.where(samples[:, 1] > 0, samples[:, 0] / np.maximum(samples[:, 1], 1), np.nan)
    return (
        share_of("sensitivity", decided[positive]),
        share_of("specificity", ~decided[~positive]),
        resampled("precision", found / max(chosen, 1), precisions, wilson(found, chosen)),
    )


def with_point(measures: Measures, point: OperatingPoint, scores: Scores, truth: Truth) -> Measures:
    """What a classifier reaches, with what it reaches at its operating point.

    Args:
        measures: of the classifier.
        point: its operating point.
        scores: float32 ``(images, classes)``, its own.
        truth: of the same images.
    """
    positive = members(truth, scores.shape[1])[:, point.class_id]
    if positive.all() or not positive.any():
        count = "every" if positive.all() else "no"
        note = f"{count} image is of '{point.positive}', so its operating point was not measured"
        return replace(measures, notes=(*measures.notes, note))
    figures = point_metrics(scores[:, point.class_id], positive, point.threshold)
    named = (replace(one, name=f"{one.name} for '{point.positive}'") for one in figures)
    return replace(measures, metrics=(*measures.metrics, *named))


def operating_evidence(
    specification: OperatingPointSpecification,
    source: ThresholdedScores,
    artifact: ThresholdedScores,
    positive: tuple[Positives, Positives],
) -> OperatingEvidence:
    """Measure what decisions of source and artifact for a class of interest reach.

    Args:
        specification: what was required.
        source, artifact: their scores, with each one's own threshold.
        positive: bool ``(images,)``, whether each image of the calibration set, and of the evaluation set, is
            of the class.
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
    found, required = evidence.required, evidence.requirement
    name, limit = f"{found.name} for '{evidence.positive}'", in_unit(evidence.at_least, "share")
    if found.artifact < evidence.at_least and required.passed:
        yield (
            f"the {name} is {in_unit(found.artifact, 'share')} on the evaluation set, below the {limit} "
            f"required; so few images do not rule out up to {in_unit(required.measured, 'share')}: "
            f"measure on more"
        )
    learned = next(metric for metric in evidence.point.calibration if metric.name == found.name)
    if _above(learned.source_interval, found.source_interval):
        yield (
            f"the source's own {name} is {in_unit(learned.source, 'share')} on the calibration set and "
            f"{in_unit(found.source, 'share')} on the evaluation set, which is more than chance: are the two "
            f"alike, and was it trained on neither?"
        )
    shares = [wilson(int(one.sum()), len(one)) for one in positive]
    if evidence.metric == "precision" and (_above(*shares) or _above(*reversed(shares))):
        told = [in_unit(float(one.mean()), "share") for one in positive]
        yield (
            f"'{evidence.positive}' is {told[0]} of the calibration set and {told[1]} of the evaluation set; "
            f"a precision holds only where the class is as frequent as in the calibration set"
        )


def _above(one: Interval | None, other: Interval | None) -> bool:
    return one is not None and other is not None and one.low > other.high


@dataclass(frozen=True, eq=False)
class _ThresholdCounts:
    """Decisions by threshold: at each score that there is, the highest first.

    Attributes:
        thresholds: float32 ``(scores,)``, falling.
        found, wrong: float64 ``(scores,)``, images decided for that are of the class, and that are not.
        positives, negatives: images of the class and of no such class.
    """

    thresholds: ClassScores
    found: NDArray[np.float64]
    wrong: NDArray[np.float64]
    positives: int
    negatives: int

    @classmethod
    def of(cls, scores: ClassScores, positive: Positives) -> _ThresholdCounts:
        levels, places = np.unique(-scores, return_inverse=True)
        found = np.bincount(places, positive, len(levels)).cumsum()
        wrong = np.bincount(places, ~positive, len(levels)).cumsum()
        return cls(0 - levels, found, wrong, int(positive.sum()), int((~positive).sum()))


def _with_one_wrong(counts: _ThresholdCounts, figure: str) -> NDArray[np.float64]:
    """A figure by threshold, as though one more image had been decided wrongly."""
    if figure == "sensitivity":
        return counts.found / (counts.positives + 1)
    if figure == "specificity":
        return (counts.negatives - counts.wrong) / (counts.negatives + 1)
    return counts.found / (counts.found + counts.wrong + 1)


def _evenly(way: NDArray[np.float64]) -> NDArray[np.intp]:
    """Places of `MOST_POINTS` values at most, evenly along values that rise, with the first and the last."""
    if len(way) <= MOST_POINTS:
        return np.arange(len(way))
    return np.unique(np.searchsorted(way, np.linspace(way[0], way[-1], MOST_POINTS)))


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(np.round(values.astype(np.float64), _DIGITS).tolist())
