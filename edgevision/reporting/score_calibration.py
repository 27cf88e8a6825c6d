"""Score calibration of the artifacts: operating points and temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass

from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.prediction_sets import PredictionSetEvidence
from edgevision.evidence.records import Evidence
from edgevision.evidence.temperatures import ScaledScores
from edgevision.metrics.formatting import methods_of
from edgevision.reporting.prediction_charts import curve_chart, reliability_chart
from edgevision.reporting.predictions import SOURCE


@dataclass(frozen=True)
class CalibratedScores:
    """Score calibration of all artifacts.

    Attributes:
        points: (artifact, its operating point, ROC curves as SVG).
        temperatures: (model, score quality before and after, reliability diagram after as SVG), the source
            first.
        sets: (artifact, its prediction sets).
        methods: of the intervals at the operating points, as `methods_of`.
    """

    points: tuple[tuple[str, OperatingEvidence, str], ...]
    temperatures: tuple[tuple[str, ScaledScores, str], ...]
    methods: str
    sets: tuple[tuple[str, PredictionSetEvidence], ...] = ()


def calibrated_scores(evidence: Evidence) -> CalibratedScores | None:
    """Score calibration of all artifacts; `None` if no scores were calibrated."""
    results = evidence.results
    points = [(one.artifact, one.operating_point) for one in results if one.operating_point is not None]
    scaled = [(one.artifact, one.temperature) for one in results if one.temperature is not None]
    sets = [(one.artifact, one.prediction_sets) for one in results if one.prediction_sets is not None]
    if not points and not scaled and not sets:
        return None
    models = [(SOURCE, one.source) for _, one in scaled[:1]] + [(name, one.artifact) for name, one in scaled]
    return CalibratedScores(
        tuple(
            (name, point, curve_chart(f"curve-{place}", f"ROC curves of {name} and its source", point))
            for place, (name, point) in enumerate(points)
        ),
        tuple((name, one, _after(place, name, one)) for place, (name, one) in enumerate(models)),
        methods_of(
            (one.name, one.artifact_interval) for _, point in points for one in point.point.evaluation
        ),
        tuple(sets),
    )


def _after(place: int, name: str, scaled: ScaledScores) -> str:
    title = f"Reliability of {name} after temperature scaling"
    return reliability_chart(f"scaled-{place}", title, scaled.after.reliability)
