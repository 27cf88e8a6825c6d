"""How closely an artifact agrees with its source, and what each of them reaches in the task's metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """Limits."""

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Metric:
    """One of the task's metrics, of the source and of the artifact, on the same images.

    Attributes:
        name: such as ``accuracy``.
        source, artifact: higher is better.
        unit: ``share`` for numbers of 0…1, or ``dB``.
        drop_interval: 95 % interval of `drop`, from the same images.
    """

    name: str
    source: float
    artifact: float
    unit: str = "share"
    drop_interval: Interval | None = None

    @property
    def largest_drop(self) -> float:
        """The largest drop that the images do not rule out."""
        return self.drop if self.drop_interval is None else max(self.drop, self.drop_interval.high)

    @property
    def drop(self) -> float:
        """How much the artifact lost; below 0 where it is better."""
        return self.source - self.artifact


@dataclass(frozen=True)
class Comparison:
    """An artifact's answers held against its source's, on the same images.

    Attributes:
        images: how many.
        agreement: share of the source's decisions that the artifact takes alike, 0…1; what a
            decision is, the task's own comparison says.
        largest_difference, mean_difference: of the numbers that the answers hold.
        metrics: what needs the truth, where the evaluation set tells it.
        likeness: name -> how alike the answers are, for tasks where agreement does not say it all.
    """

    images: int
    agreement: float
    largest_difference: float
    mean_difference: float
    metrics: tuple[Metric, ...] = ()
    likeness: Mapping[str, float] = field(default_factory=dict)
    agreement_interval: Interval | None = None

    def metric(self, name: str) -> Metric:
        """The metric called `name`.

        Raises:
            KeyError: it was not measured.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)
