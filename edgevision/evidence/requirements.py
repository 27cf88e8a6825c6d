"""Requirements: limits that an artifact must stay within, and the budget that they are derived from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from edgevision.errors import OptionError
from edgevision.evidence.bounds import Bound, Complement, ShareBound, drop_bound, needed
from edgevision.metrics.comparison import POSITIVE_AGREEMENT, Comparison
from edgevision.metrics.formatting import in_points, in_unit, level, limit_in_points, limit_in_unit
from edgevision.metrics.intervals import Interval
from edgevision.system.arguments import real_number
from edgevision.system.decimals import without_noise

#: Verdicts, best first; that of an artifact is the worst of its requirements.
PASSED, NOT_SHOWN, FAILED = "passed", "not shown", "failed"
STATUSES = (PASSED, NOT_SHOWN, FAILED)
#: Of a two-sided interval, unless an artifact is one of several candidates.
CONFIDENCE = 0.95
_DIGITS = 6


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
        unit: ``share``, ``dB``, ``MB``, ``ms``, or ``relative`` for a number without a unit, such as an error
            relative to the size of a value.
        bound: the unfavourable end of the interval of `measured`, which is judged; of exact quantities, such
            as a size, the measured value. `None` if the images give no interval: then nothing is shown.
        images_needed: where it is not shown, how many images like these would show it; `None` if that is
            unknown, or no number would.
        confidence: of the two-sided interval that `bound` is an end of: 0.95, or more for one of several
            candidates that were judged on the same images; with `one_sided`, of `bound` alone.
        one_sided: True if `bound` is a limit of its own, as at an operating point.
    """

    what: str
    at_least: bool
    limit: float
    measured: float | None
    unit: str = "share"
    bound: float | None = None
    images_needed: int | None = None
    confidence: float = CONFIDENCE
    one_sided: bool = False

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
        """The limit with its unit, such as ``95.00 %`` or ``0.50 percentage points``.

        It and the values have as many digits as it takes to tell them apart.
        """
        others = [value for value in (self.measured, self.bound) if value is not None]
        return (limit_in_points if self._is_difference else limit_in_unit)(self.limit, self.unit, others)

    @property
    def required_text(self) -> str:
        """The limit with its side, such as ``at least 95.00 %`` or ``at most 0.50 percentage points``."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit_text}"

    @property
    def measured_text(self) -> str:
        """The measured value with its unit, such as ``97.30 %`` or ``0.17 percentage points``."""
        return self._as_text(self.measured)

    @property
    def bound_text(self) -> str:
        """The bound with its unit, as `measured_text`; ``undefined`` if there is none."""
        return self._as_text(self.bound)

    @property
    def basis(self) -> str:
        """The kind of limit of `bound`: ``95 % CI`` or ``95 %, one-sided``; empty if exact or unknown."""
        if self.bound is None or self.bound == self.measured:
            return ""
        return level(self.confidence) + (", one-sided" if self.one_sided else " CI")

    @property
    def margin_text(self) -> str:
        """The distance of the bound to the limit with its unit, such as ``4.83 percentage points``."""
        if self.bound is None:
            return "unknown"
        of_difference = in_points if self.unit in ("share", "dB") else in_unit
        return of_difference(self._distance(self.bound), self.unit)

    def _distance(self, value: float) -> float:
        distance = value - self.limit if self.at_least else self.limit - value
        return without_noise(distance)  # in binary, 0.7518 - 0.7468 is above 0.005

    @property
    def _is_difference(self) -> bool:
        # Only drops have an upper limit in shares, and a drop is a difference of two shares.
        return self.unit == "share" and not self.at_least

    def _as_text(self, value: float | None) -> str:
        if value is None:
            return "undefined"
        return (in_points if self._is_difference else in_unit)(value, self.unit, [self.limit])


def status_of(requirements: Iterable[Requirement]) -> str:
    """The worst status of these requirements: ``failed``, then ``not shown``, then ``passed``."""
    return max((one.status for one in requirements), key=STATUSES.index, default=PASSED)


@dataclass(frozen=True)
class Budget:
    """How much an artifact may lose in the conversion.

    Attributes:
        max_drop: largest drop of the task's main metric, in percentage points, or in the unit of a metric
            that is no share, such as dB; without ground truth, of the agreement. Compared with the upper
            limit of the drop's 95 % interval, so that a small evaluation set does not pass by luck. `None`
            sets no limit.
        min_agreement: smallest agreement with the source, 0…1, compared with the lower limit of its
            interval. `None` requires the default of the precision, or nothing if `max_drop` is given: of
            float32 and float16 outputs that differ by no more than rounding (`OUTPUT_TOLERANCES`), of other
            precisions an agreement, of independent scores also on the labels that are present.

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

    @property
    def is_default(self) -> bool:
        """True if neither limit is set, so that the defaults of each precision are required."""
        return self.max_drop is None and self.min_agreement is None

    def requirements(
        self,
        comparison: Comparison,
        default_agreement: float,
        output_error: Requirement | None = None,
        confidence: float = CONFIDENCE,
    ) -> tuple[Requirement, ...]:
        """The limits of an artifact with its measured values.

        Args:
            comparison: of the artifact with its source.
            default_agreement: default of `min_agreement` for the precision of the artifact.
            output_error: of an artifact in float, the default that takes the place of an agreement where it
                is met; see `output_error`.
            confidence: of the two-sided intervals that it is judged by.
        """
        if self.is_default and output_error is not None and output_error.passed:
            return (output_error,)
        requirements = [] if self.max_drop is None else [_drop(comparison, self.max_drop, confidence)]
        if self.min_agreement is not None or self.max_drop is None:
            limit = default_agreement if self.min_agreement is None else self.min_agreement
            requirements.append(_agreement(comparison, limit, confidence))
        if self.is_default and POSITIVE_AGREEMENT in comparison.likeness:
            requirements.append(_positive_agreement(comparison, default_agreement, confidence))
        return tuple(requirements)


#: Largest numeric error of an artifact's outputs by the precision that computes them: root mean square of
#: an image, relative to the standard deviation of the outputs. The docs say why these.
OUTPUT_TOLERANCES = {"float32": 0.001, "float16": 0.05, "bfloat16": 0.2}


def output_error(measured: float, *precisions: str) -> Requirement | None:
    """The numeric tolerance on the outputs of an artifact in float; `None` for an artifact in integers.

    Args:
        measured: the largest error of an image, as `OUTPUT_TOLERANCES`.
        precisions: of the artifact, and that in which its backend computes; the coarser one counts.
    """
    if precisions[0] not in OUTPUT_TOLERANCES:
        return None
    limit = max(OUTPUT_TOLERANCES[one] for one in precisions if one in OUTPUT_TOLERANCES)
    return Requirement.exact("relative output error", False, limit, measured, "relative")


#: `Requirement.what` of the drift of an artifact's attention.
ATTENTION_DRIFT = "attention drift"


def attention_drift(
    drift: float, interval: Interval, images: tuple[int, int], limit: float, confidence: float = CONFIDENCE
) -> Requirement:
    """The limit on the mean drift of an artifact's attention; see `edgevision.AttentionSpecification`.

    Args:
        drift: mean over images, 0…1.
        interval: of that mean.
        images: number of images that it was measured on, and of those that were drawn for it.
        limit: the largest drift that is allowed.
        confidence: of the two-sided interval that it is judged by.
    """
    likeness = replace(interval, low=1 - interval.high, high=1 - interval.low)
    measured, drawn = images
    bound = Complement(ShareBound.of(measured, 1 - drift, likeness))
    judged = _judged(
        Requirement(ATTENTION_DRIFT, False, limit, drift, "relative"), measured, bound, confidence
    )
    if judged.images_needed is None:
        return judged
    return replace(judged, images_needed=math.ceil(judged.images_needed * drawn / measured))


def _drop(comparison: Comparison, max_drop: float, confidence: float) -> Requirement:
    """The requirement on the drop of the main metric; without ground truth, on that of the agreement."""
    images = comparison.images
    bound: Bound | None = None
    if comparison.metrics:
        metric = comparison.metrics[0]
        limit = max_drop / 100 if metric.unit == "share" else max_drop
        requirement = Requirement(f"drop in {metric.name}", False, limit, metric.drop, metric.unit)
        if metric.drop_interval is not None:
            bound = drop_bound(images, metric.drop, metric.drop_interval)
        return _judged(requirement, images, bound, confidence)
    lost = 1 - comparison.agreement
    if comparison.agreement_interval is not None:
        bound = Complement(ShareBound.of(images, comparison.agreement, comparison.agreement_interval))
    return _judged(Requirement("drop in agreement", False, max_drop / 100, lost), images, bound, confidence)


def _agreement(comparison: Comparison, limit: float, confidence: float) -> Requirement:
    requirement = Requirement("agreement", True, limit, comparison.agreement)
    return _share(requirement, comparison.images, comparison.agreement_interval, confidence)


def _positive_agreement(comparison: Comparison, limit: float, confidence: float) -> Requirement:
    name = POSITIVE_AGREEMENT
    requirement = Requirement(name, True, limit, comparison.likeness[name])
    return _share(requirement, comparison.images, comparison.likeness_intervals.get(name), confidence)


def _share(
    requirement: Requirement, images: int, interval: Interval | None, confidence: float
) -> Requirement:
    share, bound = requirement.measured, None
    if interval is not None and share is not None:
        bound = ShareBound.of(images, share, interval)
    return _judged(requirement, images, bound, confidence)


def _judged(requirement: Requirement, images: int, bound: Bound | None, confidence: float) -> Requirement:
    """The requirement with its bound and, where it is not shown, the number of images that would show it."""
    if requirement.at_least and requirement.limit <= 0:  # no share is below it
        return replace(requirement, bound=0.0, confidence=confidence)
    if bound is None or requirement.measured is None:
        return replace(requirement, confidence=confidence)
    end = round(bound.at(images, confidence), _DIGITS)
    if abs(end - requirement.measured) < 0.5 * 10**-_DIGITS:  # no spread: these images say nothing of others
        return replace(requirement, confidence=confidence)
    judged = replace(requirement, bound=end, confidence=confidence)
    if judged.status != NOT_SHOWN or judged.measured == judged.limit:  # no number of images would show it
        return judged
    return replace(judged, images_needed=needed(bound, judged.limit, confidence))
