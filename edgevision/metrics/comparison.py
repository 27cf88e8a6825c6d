"""How closely an artifact agrees with its source, and what each of them reaches in the task's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgevision.metrics.changes import BoxChange, Confusion, Flip, PixelChange, Reliability
from edgevision.metrics.intervals import Interval
from edgevision.metrics.measures import ClassMetricValues, MetricValue, drop_interval

#: Classes that are told of one by one; of more, those that lost most.
MOST_CLASSES = 100
#: Images that are told of one by one, the worst first.
MOST_IMAGES = 200


@dataclass(frozen=True)
class Metric:
    """One of the task's metrics, of the source and of the artifact, on the same images.

    Attributes:
        name: such as ``accuracy``.
        source, artifact: higher is better.
        unit: ``share`` for numbers of 0…1, or ``dB``.
        source_interval, artifact_interval: 95 % intervals, where they were measured.
        drop_interval: 95 % interval of `drop`, from the same images: far narrower than the two
            intervals of its sides would have it.
    """

    name: str
    source: float
    artifact: float
    unit: str = "share"
    source_interval: Interval | None = None
    artifact_interval: Interval | None = None
    drop_interval: Interval | None = None

    @property
    def drop(self) -> float:
        """How much the artifact lost; below 0 where it is better."""
        return self.source - self.artifact

    @property
    def largest_drop(self) -> float:
        """The largest drop that the images do not rule out: a budget holds if this is within it.

        The upper limit of `drop_interval`, so exceeded by chance in one set of forty; where there is
        none, the drop itself.
        """
        return self.drop if self.drop_interval is None else max(self.drop, self.drop_interval.high)


@dataclass(frozen=True)
class ClassMetrics:
    """The metrics of one class.

    Attributes:
        label: its name.
        support: images, or objects, that truly are of it.
        metrics: precision, recall and F1, or the average precisions.
    """

    label: str
    support: int
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class ClassifyDetails:
    """Beside its metrics, what a classifier does otherwise than its source.

    Attributes:
        flipped: images that the two decide differently.
        flips: `MOST_IMAGES` of them at most: first those where the source was right and the artifact is
            not, and of these those where the two were surest.
        source_confusion, artifact_confusion: with the truth, of decisions for one class.
        source_reliability, artifact_reliability: with the truth.
    """

    flipped: int
    flips: tuple[Flip, ...]
    source_confusion: Confusion | None = None
    artifact_confusion: Confusion | None = None
    source_reliability: Reliability | None = None
    artifact_reliability: Reliability | None = None


@dataclass(frozen=True)
class DetectDetails:
    """Beside its metrics, where a detector finds other objects than its source.

    Attributes:
        changed: images in which one of the two has a box that the other has not.
        changes: `MOST_IMAGES` of them at most, those with the most such boxes first.
    """

    changed: int
    changes: tuple[BoxChange, ...]


@dataclass(frozen=True)
class GenerateDetails:
    """Beside its metrics, which images are least like the source's.

    Attributes:
        changed: images that differ at all.
        changes: `MOST_IMAGES` of them at most, the least alike first.
    """

    changed: int
    changes: tuple[PixelChange, ...]


#: What only one task has to tell.
Details = ClassifyDetails | DetectDetails | GenerateDetails
#: What is told of an image that is answered otherwise.
Change = Flip | BoxChange | PixelChange


@dataclass(frozen=True)
class Comparison:
    """An artifact's answers held against its source's, on the same images.

    Attributes:
        images: how many.
        agreement: share of the source's decisions that the artifact takes alike, 0…1; what a
            decision is, the task's own comparison says.
        largest_difference, mean_difference: of the numbers that the answers hold.
        metrics: what needs the truth, where the evaluation set tells it; the task's first one first.
        likeness: name -> how alike the answers are, for tasks where agreement does not say it all.
        agreement_interval: 95 %, of `agreement`.
        likeness_intervals: name -> 95 % interval, of `likeness`.
        by_class: of each class that the truth shows; of more than `MOST_CLASSES`, those that lost most.
        details: what only this task has to tell.
        notes: what a reader must know beside the figures.
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
        """The least agreement that the images do not rule out: the lower limit of its interval."""
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


def changes_of(details: Details | None) -> tuple[Change, ...]:
    """What is told of images that are answered otherwise, the worst first."""
    if details is None:
        return ()
    return details.flips if isinstance(details, ClassifyDetails) else details.changes


def change_count(details: Details | None) -> int:
    """How many images are answered otherwise, those included of which nothing is told."""
    if details is None:
        return 0
    return details.flipped if isinstance(details, ClassifyDetails) else details.changed


def pair(source: Sequence[MetricValue], artifact: Sequence[MetricValue]) -> tuple[Metric, ...]:
    """The metrics of two models, from their figures on the same images, in the same order."""
    return tuple(
        Metric(a.name, a.value, b.value, a.unit, a.interval, b.interval, drop_interval(a, b))
        for a, b in zip(source, artifact, strict=True)
    )


def pair_classes(
    source: Sequence[ClassMetricValues], artifact: Sequence[ClassMetricValues]
) -> tuple[ClassMetrics, ...]:
    """The metrics of each class: all, or those `MOST_CLASSES` whose last metric lost most, in their order."""
    rows = [
        ClassMetrics(a.label, a.support, pair(a.metrics, b.metrics))
        for a, b in zip(source, artifact, strict=True)
    ]
    if len(rows) <= MOST_CLASSES:
        return tuple(rows)
    worst = sorted(range(len(rows)), key=lambda place: -rows[place].metrics[-1].drop)[:MOST_CLASSES]
    return tuple(rows[place] for place in sorted(worst))
