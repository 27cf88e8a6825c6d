"""How the scores of artifacts are read: thresholds that keep a figure, and temperatures."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.records import Evidence
from edgevision.evidence.temperatures import ScaledScores
from edgevision.reporting.decision_charts import curve_chart, reliability_chart
from edgevision.reporting.decisions import SOURCE


@dataclass(frozen=True)
class CalibratedScores:
    """The readings of all artifacts.

    Attributes:
        points: (artifact, what its threshold reaches, curves as SVG).
        temperatures: (model, its scores before and after, reliability after as SVG), the source's first.
    """

    points: tuple[tuple[str, OperatingEvidence, str], ...]
    temperatures: tuple[tuple[str, ScaledScores, str], ...]


def calibrated_scores(evidence: Evidence) -> CalibratedScores | None:
    """The readings of all artifacts; `None` where scores are read as they are."""
    results = evidence.results
    points = [(one.artifact, one.operating_point) for one in results if one.operating_point is not None]
    scaled = [(one.artifact, one.temperature) for one in results if one.temperature is not None]
    if not points and not scaled:
        return None
    models = [(SOURCE, one.source) for _, one in scaled[:1]] + [(name, one.artifact) for name, one in scaled]
    return CalibratedScores(
        tuple(
            (name, point, curve_chart(f"curve-{place}", f"Curves of {name} and its source", point))
            for place, (name, point) in enumerate(points)
        ),
        tuple((name, one, _after(place, name, one)) for place, (name, one) in enumerate(models)),
    )


def _after(place: int, name: str, scaled: ScaledScores) -> str:
    title = f"Reliability of {name} at its temperature"
    return reliability_chart(f"scaled-{place}", title, scaled.after.reliability)
