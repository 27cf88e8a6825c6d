"""Comparison of an artifact with its source: agreement, and the task's metrics of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgevision.metrics.changes import BoxChange, Confusion, Flip, PixelChange, ResultChange, name_of
from edgevision.metrics.intervals import Interval
from edgevision.metrics.measures import ClassMetricValues, MetricValue, drop_intervals
from edgevision.metrics.reliability import Reliability

#: Classes listed one by one; of more, those with the largest drop.
MOST_CLASSES = 100
#: Name in `Comparison.likeness` of the agreement on what either says is there: with many labels that are
#: rarely there, the agreement is high even if the artifact finds none of them.
POSITIVE_AGREEMENT = "agreement on present labels"
#: Changed images listed one by one, largest change first.
MOST_IMAGES = 200


@dataclass(frozen=True)
class Metric:
    """One of the task's metrics, of the source and of the artifact, on the same images.

    Attributes:
        name: such as ``accuracy``.
        source, artifact: value of each.
        unit: ``share`` for values of 0…1, ``dB``, or the unit of what is measured.
        source_interval, artifact_interval: 95 % intervals, if measured.
        drop_interval: 95 % interval of `drop` on the same images, which is far narrower than the two
            intervals suggest.
        lower_is_better: True for an error.
    """

    name: str
    source: float
    artifact: float
    unit: str = "share"
    source_interval: Interval | None = None
    artifact_interval: Interval | None = None
    drop_interval: Interval | None = None
    lower_is_better: bool = False

    @property
    def drop(self) -> float:
        """How much the artifact is worse; negative if it is better."""
        return self.artifact - self.source if self.lower_is_better else self.source - self.artifact

    @property
    def largest_drop(self) -> float:
        """The largest drop that the images do not rule out.

        The upper limit of `drop_interval`, which the true drop exceeds for at most one set in forty; without
        an interval, the drop itself.
        """
        return self.drop if self.drop_interval is None else max(self.drop, self.drop_interval.high)


@dataclass(frozen=True)
class ClassMetrics:
    """The metrics of one class.

    Attributes:
        label: name of the class.
        support: images, or objects, of the class in the ground truth.
        metrics: precision, recall and F1, or the average precisions.
    """

    label: str
    support: int
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class LabelAgreement:
    """How often artifact and source decide alike about one label, for independent scores.

    Attributes:
        label: name of the class.
        agreement: share of the images, 0…1.
        interval: its 95 % interval.
        lost: number of images with the label by the source alone.
        gained: number of images with the label by the artifact alone.
    """

    label: str
    agreement: float
    interval: Interval
    lost: int
    gained: int


@dataclass(frozen=True)
class ClassifyDetails:
    """Changed predictions, confusion and reliability of a classifier.

    Attributes:
        flipped: number of images with different predictions.
        flips: at most `MOST_IMAGES` of them: first those where the source is right and the artifact wrong,
            highest scores first.
        source_confusion, artifact_confusion: with ground truth, for predictions of a single class.
        source_reliability, artifact_reliability: with ground truth.
        by_label: with independent scores, the agreement on each label, lowest first; at most `MOST_CLASSES`.
    """

    flipped: int
    flips: tuple[Flip, ...]
    source_confusion: Confusion | None = None
    artifact_confusion: Confusion | None = None
    source_reliability: Reliability | None = None
    artifact_reliability: Reliability | None = None
    by_label: tuple[LabelAgreement, ...] = ()


@dataclass(frozen=True)
class DetectDetails:
    """Changed detections of a detector.

    Attributes:
        changed: number of images with a box that only one of the two detected.
        changes: at most `MOST_IMAGES` of them, most such boxes first.
    """

    changed: int
    changes: tuple[BoxChange, ...]


@dataclass(frozen=True)
class GenerateDetails:
    """Changed output images of a generator.

    Attributes:
        changed: number of images that differ at all.
        changes: at most `MOST_IMAGES` of them, lowest similarity first.
    """

    changed: int
    changes: tuple[PixelChange, ...]


@dataclass(frozen=True)
class ResultDetails:
    """Changed results of a plugin's task, in words.

    Attributes:
        task: name of its kind.
        changed: number of images whose result differs.
        changes: at most `MOST_IMAGES` of them, largest difference first.
    """

    task: str
    changed: int
    changes: tuple[ResultChange, ...]


#: Results specific to a task.
Details = ClassifyDetails | DetectDetails | GenerateDetails | ResultDetails
#: Entry for an image whose prediction changed.
Change = Flip | BoxChange | PixelChange | ResultChange


@dataclass(frozen=True)
class Comparison:
    """The predictions of an artifact compared with those of its source, on the same images.

    Attributes:
        images: number of images.
        agreement: share of the source's predictions that the artifact reproduces, 0…1, as defined by the
            task's evaluator.
        largest_difference, mean_difference: of the output values.
        metrics: metrics against the ground truth, the task's main metric first; empty without ground truth.
        likeness: similarity metrics of the outputs by name, for tasks where agreement is not enough.
        agreement_interval: 95 % interval of `agreement`.
        likeness_intervals: 95 % intervals of `likeness`, by name.
        by_class: metrics of each class in the ground truth; of more than `MOST_CLASSES`, those with the
            largest drop.
        details: results specific to the task.
        notes: remarks that a reader needs to interpret the metrics.
    """

    images: int
    agreement: float
    largest_difference: float
    mean_difference: float
    metrics: tuple[Metric, ...] = ()
    likeness: Mapping[str, float] = field(default_factory=dict)
    agreement_interval: Interval | None = None
    likeness_intervals: Mapping[str, Interval] = field(default_factory=dict)
    by_class: tuple[ClassMetrics, ...] = ()
    details: Details | None = None
    notes: tuple[str, ...] = ()

    @property
    def least_agreement(self) -> float:
        """The lowest agreement that the images do not rule out: the lower limit of its interval."""
        interval = self.agreement_interval
        return self.agreement if interval is None else min(self.agreement, interval.low)

    def metric(self, name: str) -> Metric:
        """The metric called `name`.

        Raises:
            KeyError: it was not measured.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)


def result_details(
    task: str, differences: Sequence[float], texts: Sequence[str], image_names: Sequence[str]
) -> ResultDetails:
    """The details of a comparison of a plugin's task, image by image.

    Args:
        task: name of its kind.
        differences: how much each image's results differ, 0…1; 0 for none.
        texts: the same in words.
        image_names: names of the images; empty for a set without names.
    """
    changes = [
        ResultChange(name_of(image_names, place), round(float(difference), 6), texts[place])
        for place, difference in enumerate(differences)
        if difference > 0
    ]
    worst = sorted(changes, key=lambda change: -change.difference)[:MOST_IMAGES]
    return ResultDetails(task, len(changes), tuple(worst))


def changes_of(details: Details | None) -> tuple[Change, ...]:
    """Entries for the images whose prediction changed, largest change first."""
    if details is None:
        return ()
    return details.flips if isinstance(details, ClassifyDetails) else details.changes


def change_count(details: Details | None) -> int:
    """Number of images whose prediction changed, including those without an entry."""
    if details is None:
        return 0
    return details.flipped if isinstance(details, ClassifyDetails) else details.changed


def pair(source: Sequence[MetricValue], artifact: Sequence[MetricValue]) -> tuple[Metric, ...]:
    """The metrics of source and artifact, paired by position and measured on the same images."""
    pairs = list(zip(source, artifact, strict=True))
    return tuple(
        Metric(a.name, a.value, b.value, a.unit, a.interval, b.interval, interval, a.lower_is_better)
        for (a, b), interval in zip(pairs, drop_intervals(pairs), strict=True)
    )


def pair_classes(
    source: Sequence[ClassMetricValues], artifact: Sequence[ClassMetricValues]
) -> tuple[ClassMetrics, ...]:
    """The metrics of each class, or of the `MOST_CLASSES` classes whose last metric dropped most."""
    rows = list(zip(source, artifact, strict=True))
    if len(rows) > MOST_CLASSES:
        drops = [a.metrics[-1].value - b.metrics[-1].value for a, b in rows]
        worst = sorted(range(len(rows)), key=lambda place: -drops[place])[:MOST_CLASSES]
        rows = [rows[place] for place in sorted(worst)]
    # All at once, since the limits are computed in parallel.
    metrics = iter(pair(*([one for row in rows for one in row[side].metrics] for side in (0, 1))))
    return tuple(ClassMetrics(a.label, a.support, tuple(next(metrics) for _ in a.metrics)) for a, _ in rows)
