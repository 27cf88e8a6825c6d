"""Operating points in words, the same in every command and report."""

from __future__ import annotations

from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.metrics.formatting import in_points, in_unit, level, threshold_text


def operating_cost(evidence: OperatingEvidence, of_source: bool = False) -> str:
    """A sentence on the threshold of a model, and what its guarantee costs on the evaluation set.

    Args:
        evidence: of an artifact.
        of_source: describe the source at its own threshold instead.
    """
    point = evidence.source_point if of_source else evidence.point
    empirical = evidence.source_empirical_point if of_source else evidence.empirical_point
    found = f"its own threshold is {threshold_text(point.threshold)}"
    if of_source and evidence.lower_limits is not None:
        required = point.named(evidence.metric)
        found += (
            f" ({evidence.metric} {in_unit(required.source, 'share')}, lower "
            f"{level(evidence.limit_confidence)} limit {in_unit(evidence.lower_limits[0], 'share')})"
        )
    if empirical is None:
        return found
    paid, before = point.named(evidence.cost), empirical.named(evidence.cost)
    value, without = (one.source if of_source else one.artifact for one in (paid, before))
    return (
        f"{found}; the guarantee costs {in_points(without - value, 'share')} of {evidence.cost}: "
        f"{in_unit(value, 'share')}, against {in_unit(without, 'share')} at "
        f"{threshold_text(empirical.threshold)}, the threshold with the required {evidence.metric} on the "
        "calibration images themselves"
    )
