"""Requirements: limits that an artifact must stay within, and the budget that they are derived from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgevision.errors import OptionError
from edgevision.metrics.comparison import POSITIVE_AGREEMENT, Comparison
from edgevision.metrics.formatting import in_points, in_unit
from edgevision.system.arguments import real_number

#: Verdicts, best first; that of an artifact is the worst of its requirements.
PASSED, NOT_SHOWN, FAILED = "passed", "not shown", "failed"
STATUSES = (PASSED, NOT_SHOWN, FAILED)


@dataclass(frozen=True)
class Requirement:
    """One limit, the measured value, and whether the images show that the limit is kept.

    Every requirement is judged by one rule. Where even the unfavourable end of the measured value's
    confidence interval keeps the limit, it is passed. Where the value itself misses the limit, it has failed.
    Otherwise the images show neither, and the same holds where there is no interval.

    Attributes:
        what: the limited quantity, such as ``agreement`` or ``drop in accuracy``.
        at_least: whether `limit` is a lower limit; otherwise it is an upper one.
        limit: required value in `unit`.
        measured: measured value in `unit`; `None` if it is undefined.
        unit: ``share``, ``dB``, ``MB``, ``ms``, or ``relative`` for an error relative to the size of a value.
        bound: the unfavourable end of the interval of `measured`, which is judged; of exact quantities, such
            as a size, the measured value. `None` if the images give no interval: then nothing is shown.
        images_needed: where it is not shown, how many images like these would show it; `None` if that is
            unknown, or no number would.
        confidence: of the two-sided interval that `bound` is an end of: 0.95, or more for one of several
            candidates that were judged on the same images.
    """

    what: str
    at_least: bool
    limit: float
    measured: float | None
    unit: str = "share"
    bound: float | None = None
    images_needed: int | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("measured", "bound"):
            value = getattr(self, name)
            if value is not None and math.isnan(value):
                object.__setattr__(self, name, None)

    @classmethod
    def exact(cls, what: str, at_least: bool, limit: float, measured: float, unit: str) -> Requirement:
        """A requirement of a quantity that is no sample, so that its bound is the value itself."""
        return cls(what, at_least, limit, measured, unit, bound=measured)

    @property
    def status(self) -> str:
        """``passed``, ``failed`` or ``not shown``."""
        if self.measured is not None and self._distance(self.measured) < 0:
            return FAILED
        shown = self.measured is not None and self.bound is not None and self._distance(self.bound) >= 0
        return PASSED if shown else NOT_SHOWN

    @property
    def passed(self) -> bool:
        """True if the images show that the limit is kept."""
        return self.status == PASSED

    @property
    def margin(self) -> float:
        """Distance of the bound to the limit as a fraction of it; negative unless it has passed.

        Without a bound, that of the measured value or, where it keeps the limit, 0 less one.
        """
        value = self.measured if self.bound is None else self.bound
        if value is None or (self.bound is None and self._distance(value) >= 0):
            return -1.0
        return self._distance(value) / self.limit if self.limit else self._distance(value)

    @property
    def limit_text(self) -> str:
        """The limit with its unit, such as ``95.00 %`` or ``0.50 percentage points``."""
        return self._as_text(self.limit)

    @property
    def measured_text(self) -> str:
        """The measured value with its unit, such as ``97.30 %`` or ``0.17 percentage points``."""
        return self._as_text(self.measured)

    @property
    def bound_text(self) -> str:
        """The bound with its unit, as `measured_text`; ``undefined`` if there is none."""
        return self._as_text(self.bound)

    @property
    def margin_text(self) -> str:
        """The distance of the bound to the limit with its unit, such as ``4.83 percentage points``."""
        if self.bound is None:
            return "unknown"
        of_difference = in_points if self.unit in ("share", "dB") else in_unit
        return of_difference(self._distance(self.bound), self.unit)

    def _distance(self, value: float) -> float:
        return value - self.limit if self.at_least else self.limit - value

    def _as_text(self, value: float | None) -> str:
        if value is None:
            return "undefined"
        # Only drops have an upper limit in shares, and a drop is a difference of two shares.
        is_difference = self.unit == "share" and not self.at_least
        return in_points(value, self.unit) if is_difference else in_unit(value, self.unit)


def status_of(requirements: Iterable[Requirement]) -> str:
    """The worst status of these requirements: ``failed``, then ``not shown``, then ``passed``."""
    return max((one.status for one in requirements), key=STATUSES.index, default=PASSED)


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
