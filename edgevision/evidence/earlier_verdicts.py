"""Requirements of evidence of schema version 1, judged by the rule of this release.

Version 1 wrote one value for each requirement: of an agreement the measured one, of a drop the upper limit of
its interval, and of an operating point the upper limit of the metric, so that only what the images ruled out
had failed. The intervals stand in the same document, and the unfavourable end is read from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.intervals import Interval

_EXACT = ("MB", "ms")
_OF_POINT = " (upper 95 % limit)"


def judged_anew(
    written: Requirement, comparison: Comparison | None = None, point: OperatingEvidence | None = None
) -> Requirement:
    """A requirement with the bound that this release judges by; `None` where the document has no interval.

    Args:
        written: as version 1 wrote it, without a bound.
        comparison, point: of the artifact; `None` of a candidate, for which version 1 wrote no intervals.
    """
    if written.unit in _EXACT:
        return replace(written, bound=written.measured)
    if written.what.endswith(_OF_POINT):
        what = written.what.removesuffix(_OF_POINT)
        if point is None:
            return replace(written, what=what, measured=None)
        judged = replace(written, what=what, measured=point.required.artifact)
        return _with_end(judged, point.required.artifact_interval)
    if written.what.startswith("drop in "):
        return _drop(written, comparison)
    return _with_end(written, None if comparison is None else _agreement_interval(comparison, written.what))


def _drop(written: Requirement, comparison: Comparison | None) -> Requirement:
    metrics: Mapping[str, Metric] = (
        {} if comparison is None else {f"drop in {one.name}": one for one in comparison.metrics}
    )
    metric = metrics.get(written.what)
    if metric is not None:
        return _with_end(replace(written, measured=metric.drop), metric.drop_interval)
    if comparison is None or comparison.agreement_interval is None:
        return replace(written, bound=written.measured)  # the upper limit, the only value that was kept
    lost = replace(written, measured=1 - comparison.agreement)
    interval = comparison.agreement_interval
    return _with_end(lost, Interval(1 - interval.high, 1 - interval.low, interval.method))


def _agreement_interval(comparison: Comparison, name: str) -> Interval | None:
    return comparison.agreement_interval if name == "agreement" else comparison.likeness_intervals.get(name)


def _with_end(requirement: Requirement, interval: Interval | None) -> Requirement:
    """The requirement with the unfavourable end; an interval without width says nothing of other images."""
    if interval is None or interval.high == interval.low:
        return requirement
    return replace(requirement, bound=interval.low if requirement.at_least else interval.high)
