"""Operating points: the decision threshold for a class of interest, and the metrics at that threshold."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.requirements import Requirement
from edgevision.evidence.threshold_choice import (
    ClassScores,
    Positives,
    ThresholdCounts,
    effective_number,
)
from edgevision.metrics.class_ratios import ratio_of
from edgevision.metrics.classification import Truth, members
from edgevision.metrics.comparison import Metric, pair
from edgevision.metrics.formatting import in_unit, level
from edgevision.metrics.intervals import Groups, Interval, clopper_pearson, proportion
from edgevision.metrics.measures import Measures, MetricValue, share_of
from edgevision.metrics.sample_size import positives_for_sensitivity
from edgevision.system.arguments import array, check_lengths
from edgevision.tasks.classify import Scores
from edgevision.tasks.labels import abbreviated
from edgevision.tasks.score_calibration import OperatingPoint

#: Points of a curve: more than a chart can show.
MOST_POINTS = 100
_DIGITS = 6
#: The images that each metric is a share of.
_COUNTED = {
    "sensitivity": "images of '{}'",
    "specificity": "images of classes other than '{}'",
    "precision": "predictions of '{}'",
}


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
        counts = ThresholdCounts.of(scores, positive)
        sensitivity, specificity = counts.metric("sensitivity"), counts.metric("specificity")
        kept = _evenly(sensitivity - specificity)
        heights, widths = np.append(0, sensitivity), np.diff(1 - specificity, prepend=0)
        area = ((heights[1:] + heights[:-1]) / 2 * widths).sum()
        return cls(
            _rounded(counts.thresholds[kept]),
            _rounded(sensitivity[kept]),
            _rounded(specificity[kept]),
            _rounded(counts.metric("precision")[kept]),
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

    def named(self, name: str) -> Metric:
        """The metric called `name`, on the evaluation set."""
        return next(metric for metric in self.evaluation if metric.name == name)


@dataclass(frozen=True, eq=False)
class ThresholdedScores:
    """One model's scores of the class of interest.

    Attributes:
        calibration, evaluation: float32 ``(images,)`` of 0…1.
        threshold: the threshold at which this model meets the specification.
        empirical: the threshold with the required value on the calibration images themselves, for comparison.
    """

    calibration: ClassScores
    evaluation: ClassScores
    threshold: float
    empirical: float | None = None


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
        confidence: with which each threshold keeps the required value, over calibration sets drawn alike;
            `None`: on average over them.
        lower_limits: (source, artifact): one-sided lower limit of the required metric on the evaluation set,
            of each model at its own threshold, at `confidence` (0.95 if that is `None`), by Clopper and
            Pearson; `None` in evidence of earlier releases.
        empirical_point, source_empirical_point: metrics at the threshold with the required value on the
            calibration images themselves, which guarantees nothing: the difference is what the guarantee
            costs. `None` in evidence of earlier releases.
        evaluation_images: number of images in the evaluation set.
        counted: number of them that the required metric is a share of, at the artifact's
            threshold: positives, negatives, or predictions.
        needed: how many of these would show the required value, if they are predicted as these; `None` if it
            is shown, or no number would.
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
    confidence: float | None = None
    lower_limits: tuple[float, float] | None = None
    empirical_point: PointMetrics | None = None
    source_empirical_point: PointMetrics | None = None
    evaluation_images: int = 0
    counted: int = 0
    needed: int | None = None

    @property
    def required(self) -> Metric:
        """The required metric, at the artifact's threshold on the evaluation set."""
        return self.point.named(self.metric)

    @property
    def cost(self) -> str:
        """The metric that pays for the guarantee: specificity for a sensitivity, else sensitivity."""
        return "specificity" if self.metric == "sensitivity" else "sensitivity"

    @property
    def guarantee(self) -> str:
        """Such as ``with a confidence of 95 %``, or ``on average over calibration sets``."""
        if self.lower_limits is None:
            return "on the calibration images, without a guarantee for others (of an earlier release)"
        if self.confidence is None:
            return "on average over calibration sets"
        return f"with a confidence of {level(self.confidence)}"

    @property
    def choice(self) -> str:
        """How the thresholds were chosen, such as ``by a binomial tolerance limit (Wilks 1941)``."""
        if self.confidence is None:
            return "by conformal risk control (Angelopoulos et al. 2022)"
        if self.metric == "precision":
            return "by Learn-then-Test with fixed-sequence testing (Angelopoulos et al. 2021)"
        return "by a binomial tolerance limit (Wilks 1941)"

    @property
    def limit_confidence(self) -> float:
        """Of `lower_limits`."""
        return 0.95 if self.confidence is None else self.confidence

    @property
    def requirement(self) -> Requirement:
        """The specification, judged by the lower limit on the evaluation set."""
        needed = None
        if self.needed is not None and self.counted:
            needed = math.ceil(self.needed / self.counted * self.evaluation_images)
        bound = None if self.lower_limits is None or not self.counted else self.lower_limits[1]
        return Requirement(
            f"{self.metric} for '{self.positive}'",
            True,
            self.at_least,
            self.required.artifact if self.counted else None,
            bound=bound,
            images_needed=needed,
            confidence=self.limit_confidence,
            one_sided=True,
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


def point_metrics(
    scores: ClassScores, positive: Positives, threshold: float, groups: Groups | None = None
) -> tuple[MetricValue, ...]:
    """Sensitivity, specificity and precision at a threshold.

    Args:
        scores: float32 ``(images,)`` of 0…1, of the class of interest.
        positive: bool ``(images,)``, whether each image belongs to it.
        threshold: lowest score that counts as positive, 0…1.
        groups: int ``(images,)``, the group of each image; `None` if every image is its own.
    """
    predicted = scores >= np.float32(threshold)
    correct = predicted & positive
    return (
        share_of("sensitivity", predicted[positive], groups=None if groups is None else groups[positive]),
        share_of("specificity", ~predicted[~positive], groups=None if groups is None else groups[~positive]),
        ratio_of("precision", correct, predicted, groups=groups),
    )


def with_point(
    measures: Measures, point: OperatingPoint, scores: Scores, truth: Truth, groups: Groups | None = None
) -> Measures:
    """The measures of a classifier, with the metrics at its operating point added.

    Args:
        measures: of the classifier.
        point: its operating point.
        scores: float32 ``(images, classes)``, of the classifier.
        truth: ground truth of the same images.
        groups: group of each image, `None` if every image is its own.
    """
    positive = members(truth, scores.shape[1])[:, point.class_id]
    if positive.all() or not positive.any():
        count = "every image shows" if positive.all() else "no image shows"
        note = f"{count} '{point.positive}', so the operating point was not evaluated"
        return replace(measures, notes=(*measures.notes, note))
    metrics = point_metrics(scores[:, point.class_id], positive, point.threshold, groups)
    named = (replace(metric, name=f"{metric.name} for '{point.positive}'") for metric in metrics)
    return replace(measures, metrics=(*measures.metrics, *named))


def operating_evidence(
    specification: OperatingPointSpecification,
    source: ThresholdedScores,
    artifact: ThresholdedScores,
    positive: tuple[Positives, Positives],
    groups: tuple[Groups | None, Groups | None] = (None, None),
) -> OperatingEvidence:
    """Measure source and artifact at the operating point of a class of interest.

    Args:
        specification: the required metric.
        source, artifact: scores of each, with its own threshold.
        positive: bool ``(images,)``, whether each image belongs to the class: of the calibration set, and of
            the evaluation set.
        groups: int ``(images,)``, the group of each image, of both sets; as for `find_threshold`.
    """
    calibration, evaluation = positive
    sides = source, artifact, positive, groups
    confidence = specification.evaluation_confidence
    limits = [
        _measured_share(
            specification.metric, one.evaluation >= np.float32(one.threshold), evaluation, groups[1]
        )
        for one in (source, artifact)
    ]
    share = limits[1]
    evidence = OperatingEvidence(
        specification.positive,
        specification.metric,
        specification.at_least,
        (int(calibration.sum()), int(evaluation.sum())),
        _metrics_at(artifact.threshold, *sides),
        _metrics_at(source.threshold, *sides),
        Curve.of(source.evaluation, evaluation),
        Curve.of(artifact.evaluation, evaluation),
        confidence=specification.confidence,
        lower_limits=(limits[0].lower_limit(confidence), share.lower_limit(confidence)),
        empirical_point=None if artifact.empirical is None else _metrics_at(artifact.empirical, *sides),
        source_empirical_point=None if source.empirical is None else _metrics_at(source.empirical, *sides),
        evaluation_images=len(evaluation),
        counted=share.images,
        needed=share.needed(specification.at_least, confidence),
    )
    return replace(evidence, warnings=tuple(_warnings(evidence, positive, groups)))


@dataclass(frozen=True)
class _MeasuredShare:
    """A metric as a share of images.

    Attributes:
        hits, images: its numerator and its denominator.
        independent: so many of the images are independent of each other.
    """

    hits: int
    images: int
    independent: int

    def lower_limit(self, confidence: float) -> float:
        """One-sided, by Clopper and Pearson."""
        hits = self.hits * self.independent / max(1, self.images)
        return clopper_pearson(hits, self.independent, confidence=2 * confidence - 1).low

    def needed(self, at_least: float, confidence: float) -> int | None:
        """Images like these that would show a required value; `None` if it is shown, or no number would."""
        if self.images == 0 or self.lower_limit(confidence) >= at_least:
            return None
        share = self.hits / self.images
        independent = positives_for_sensitivity(share, at_least, confidence=confidence)
        return None if independent is None else math.ceil(independent * self.images / self.independent)


def _measured_share(
    metric: str, predicted: Positives, positive: Positives, groups: Groups | None
) -> _MeasuredShare:
    images = {"sensitivity": positive, "specificity": ~positive, "precision": predicted}[metric]
    right = ~predicted if metric == "specificity" else predicted & positive
    return _MeasuredShare(int((right & images).sum()), int(images.sum()), effective_number(images, groups))


def _metrics_at(
    threshold: float,
    source: ThresholdedScores,
    artifact: ThresholdedScores,
    positive: tuple[Positives, Positives],
    groups: tuple[Groups | None, Groups | None],
) -> PointMetrics:
    rows = ((source.calibration, artifact.calibration), (source.evaluation, artifact.evaluation))
    calibration, evaluation = (
        pair(*(point_metrics(one, true, threshold, of_set) for one in models))
        for models, true, of_set in zip(rows, positive, groups, strict=True)
    )
    return PointMetrics(threshold, calibration, evaluation)


def _warnings(
    evidence: OperatingEvidence,
    positive: tuple[Positives, Positives],
    groups: tuple[Groups | None, Groups | None],
) -> Iterator[str]:
    metric = evidence.required
    name, limit = f"{metric.name} for '{evidence.positive}'", in_unit(evidence.at_least, "share")
    low = 0.0 if evidence.lower_limits is None else evidence.lower_limits[1]
    if metric.artifact >= evidence.at_least > low:
        counted = f"{evidence.counted} {_COUNTED[metric.name].format(evidence.positive)}"
        needed = (
            "no number of them with this share would"
            if evidence.needed is None
            else f"about {evidence.needed} of them with this share would"
        )
        yield (
            f"the {name} is {in_unit(metric.artifact, 'share')} on {counted} of the evaluation set, which do "
            f"not show the required {limit}: its lower {level(evidence.limit_confidence)} limit is "
            f"{in_unit(low, 'share', [evidence.at_least])}; {needed}"
        )
    calibration = next(one for one in evidence.point.calibration if one.name == metric.name)
    if _above(calibration.source_interval, metric.source_interval):
        yield (
            f"the source's own {name} is {in_unit(calibration.source, 'share')} on the calibration set but "
            f"{in_unit(metric.source, 'share')} on the evaluation set, more than chance explains: check that "
            f"both sets show the same kind of images and that the model was trained on neither"
        )
    frequencies = [proportion(one, groups=of) for one, of in zip(positive, groups, strict=True)]
    if evidence.metric == "precision" and (_above(*frequencies) or _above(*reversed(frequencies))):
        on_calibration, on_evaluation = (in_unit(float(one.mean()), "share") for one in positive)
        yield (
            f"{on_calibration} of the calibration set but {on_evaluation} of the evaluation set is "
            f"'{evidence.positive}'; a precision holds only where the class is as frequent as in the "
            f"calibration set"
        )


def _above(one: Interval | None, other: Interval | None) -> bool:
    return one is not None and other is not None and one.low > other.high


def _evenly(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of at most `MOST_POINTS` of ascending values, evenly spaced, with the first and the last."""
    if len(values) <= MOST_POINTS:
        return np.arange(len(values))
    return np.unique(np.searchsorted(values, np.linspace(values[0], values[-1], MOST_POINTS)))


def _rounded(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(np.round(values.astype(np.float64), _DIGITS).tolist())
