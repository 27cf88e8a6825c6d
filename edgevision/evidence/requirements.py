"""What an artifact may lose, and whether the images that it was measured on show that it loses no more."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.errors import OptionError
from edgevision.metrics.comparison import Comparison


@dataclass(frozen=True)
class Requirement:
    """One limit, and what was measured against it.

    Attributes:
        what: that is limited, such as ``agreement`` or ``drop of accuracy``.
        at_least: whether `limit` is a least value; else it is a greatest.
        limit: in `unit`.
        measured: in `unit`; of a drop, the largest that the images do not rule out.
        unit: ``share``, ``dB``, ``MB`` or ``ms``.
    """

    what: str
    at_least: bool
    limit: float
    measured: float
    unit: str = "share"

    @property
    def passed(self) -> bool:
        """Whether what was measured is inside the limit."""
        return self.margin >= 0

    @property
    def margin(self) -> float:
        """How far inside the limit, in parts of it; below 0 outside."""
        distance = self.measured - self.limit if self.at_least else self.limit - self.measured
        return distance / self.limit if self.limit else distance


@dataclass(frozen=True)
class Budget:
    """What an artifact may lose.

    Attributes:
        max_drop: of the task's first metric, in points (hundredths of a share; dB of a metric in dB);
            where the truth is not known, of the agreement. Judged by the end of the 95 % interval,
            so that a small set does not pass by luck. `None` requirements nothing.
        min_agreement: least share of decisions that are the source's, 0…1; `None` is what suits the
            precision, or nothing where `max_drop` is given.
    """

    max_drop: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None and not 0.0 < self.max_drop <= 100.0:
            raise OptionError(f"max_drop: expected above 0 and up to 100 points, got {self.max_drop:g}")
        if self.min_agreement is not None and not 0.0 <= self.min_agreement <= 1.0:
            raise OptionError(f"min_agreement: expected 0 to 1, got {self.min_agreement:g}")

    def requirements(self, comparison: Comparison, suiting_agreement: float) -> tuple[Requirement, ...]:
        """What is required of an artifact, held against what was measured.

        Args:
            comparison: of the artifact with its source.
            suiting_agreement: least agreement that suits its precision.
        """
        found = [] if self.max_drop is None else [_drop(comparison, self.max_drop)]
        if self.min_agreement is not None or self.max_drop is None:
            least = suiting_agreement if self.min_agreement is None else self.min_agreement
            found.append(Requirement("agreement", True, least, comparison.agreement))
        return tuple(found)


def _drop(comparison: Comparison, max_drop: float) -> Requirement:
    if comparison.metrics:
        metric = comparison.metrics[0]
        limit = max_drop / 100 if metric.unit == "share" else max_drop
        return Requirement(f"drop of {metric.name}", False, limit, metric.largest_drop, metric.unit)
    return Requirement("drop of agreement", False, max_drop / 100, 1 - comparison.least_agreement)
