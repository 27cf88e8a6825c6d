"""Requirements: limits that an artifact must stay within, and the budget that they are derived from."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.errors import OptionError
from edgevision.metrics.comparison import POSITIVE_AGREEMENT, Comparison
from edgevision.metrics.formatting import in_points, in_unit
from edgevision.system.arguments import real_number


@dataclass(frozen=True)
class Requirement:
    """One limit and the measured value.

    Attributes:
        what: the limited quantity, such as ``agreement`` or ``drop in accuracy``.
        at_least: whether `limit` is a lower limit; otherwise it is an upper one.
        limit: required value in `unit`.
        measured: measured value in `unit`; for a drop, the upper limit of its 95 % interval.
        unit: ``share``, ``dB``, ``MB`` or ``ms``.
    """

    what: str
    at_least: bool
    limit: float
    measured: float
    unit: str = "share"

    @property
    def passed(self) -> bool:
        """True if the measured value is within the limit."""
        return self.margin >= 0

    @property
    def margin(self) -> float:
        """Distance to the limit as a fraction of it; negative if the limit is missed."""
        return self._distance / self.limit if self.limit else self._distance

    @property
    def limit_text(self) -> str:
        """The limit with its unit, such as ``95.00 %`` or ``0.50 percentage points``."""
        return self._as_text(self.limit)

    @property
    def measured_text(self) -> str:
        """The measured value with its unit, such as ``97.30 %`` or ``0.17 percentage points``."""
        return self._as_text(self.measured)

    @property
    def margin_text(self) -> str:
        """The distance to the limit with its unit, such as ``4.83 percentage points``."""
        of_difference = in_points if self.unit in ("share", "dB") else in_unit
        return of_difference(self._distance, self.unit)

    @property
    def _distance(self) -> float:
        return self.measured - self.limit if self.at_least else self.limit - self.measured

    def _as_text(self, value: float) -> str:
        # Only drops have an upper limit in shares, and a drop is a difference of two shares.
        is_difference = self.unit == "share" and not self.at_least
        return in_points(value, self.unit) if is_difference else in_unit(value, self.unit)


@dataclass(frozen=True)
class Budget:
    """How much an artifact may lose in the conversion.

    Attributes:
        max_drop: largest drop of the task's main metric, in percentage points, or in dB for a metric in dB;
            without ground truth, of the agreement. Compared with the upper limit of the drop's 95 % interval,
            so that a small evaluation set does not pass by luck. `None` sets no limit.
        min_agreement: smallest agreement with the source, 0…1. `None` requires the default of the precision,
            of independent scores also for the labels that are present, or nothing if `max_drop` is given.

    Raises:
        OptionError: a value is not a number, or out of range.
    """

    max_drop: float | None = None
    min_agreement: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_drop", "min_agreement"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, real_number(getattr(self, name), name))
        if self.max_drop is not None and not 0.0 < self.max_drop <= 100.0:
            raise OptionError(
                f"max_drop: expected above 0 and up to 100 percentage points, got {self.max_drop:g}"
            )
        if self.min_agreement is not None and not 0.0 <= self.min_agreement <= 1.0:
            raise OptionError(f"min_agreement: expected 0 to 1, got {self.min_agreement:g}")

    def requirements(self, comparison: Comparison, default_agreement: float) -> tuple[Requirement, ...]:
        """The limits of an artifact with its measured values.

        Args:
            comparison: of the artifact with its source.
            default_agreement: default of `min_agreement` for the precision of the artifact.
        """
        requirements = [] if self.max_drop is None else [_drop(comparison, self.max_drop)]
        if self.min_agreement is not None or self.max_drop is None:
            limit = default_agreement if self.min_agreement is None else self.min_agreement
            requirements.append(Requirement("agreement", True, limit, comparison.agreement))
        if self.min_agreement is None and self.max_drop is None and POSITIVE_AGREEMENT in comparison.likeness:
            found = comparison.likeness[POSITIVE_AGREEMENT]
            requirements.append(Requirement(POSITIVE_AGREEMENT, True, default_agreement, found))
        return tuple(requirements)


def _drop(comparison: Comparison, max_drop: float) -> Requirement:
    if comparison.metrics:
        metric = comparison.metrics[0]
        limit = max_drop / 100 if metric.unit == "share" else max_drop
        return Requirement(f"drop in {metric.name}", False, limit, metric.largest_drop, metric.unit)
    return Requirement("drop in agreement", False, max_drop / 100, 1 - comparison.least_agreement)
