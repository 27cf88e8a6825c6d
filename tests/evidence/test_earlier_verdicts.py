"""Requirements that evidence of schema version 1 holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edgevision.datasets.image_sets import SetFacts
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.operating_points import Curve, OperatingEvidence, PointMetrics
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.intervals import Interval
from edgevision.system.machine import this_machine
from measured_artifacts import measured_artifact

_WIDE, _NARROW = Interval(0.7, 0.99, "wilson"), Interval(0.96, 0.99, "wilson")
_DROP, _NO_SPREAD = Interval(-0.01, 0.03, "newcombe"), Interval(0.0, 0.0, "bootstrap")


@pytest.mark.parametrize(
    ("written", "comparison", "expected"),
    [
        (("agreement", True, 0.95, 0.98), {"agreement_interval": _WIDE}, ("not shown", 0.98, 0.7)),
        (("agreement", True, 0.95, 0.98), {"agreement_interval": _NARROW}, ("passed", 0.98, 0.96)),
        (("agreement", True, 0.95, 0.98), {}, ("not shown", 0.98, None)),
        (("agreement", True, 0.95, 0.9), {"agreement_interval": _WIDE}, ("failed", 0.9, 0.7)),
        (("drop in accuracy", False, 0.05, 0.03), {"metrics": _DROP}, ("passed", 0.01, 0.03)),
        (("drop in accuracy", False, 0.02, 0.03), {"metrics": _DROP}, ("not shown", 0.01, 0.03)),
        (("drop in accuracy", False, 0.02, 0.0), {"metrics": _NO_SPREAD}, ("not shown", 0.01, None)),
        (("size", False, 2.0, 1.5, "MB"), {}, ("passed", 1.5, 1.5)),
    ],
)
def test_a_requirement_of_version_1_is_judged_by_the_unfavourable_end_that_its_document_has(
    written: tuple[Any, ...], comparison: dict[str, Any], expected: tuple[str, float, float | None]
) -> None:
    if "metrics" in comparison:
        metric = Metric("accuracy", 0.9, 0.89, drop_interval=comparison["metrics"])
        comparison = {"metrics": (metric,)}
    compared = replace(Comparison(100, written[3], 0.25, 0.01, ()), **comparison)
    (found,) = _read_as_version_1(measured_artifact(compared, Requirement(*written))).requirements
    assert found.measured is not None
    assert (found.status, round(found.measured, 6), found.bound) == expected


def test_the_upper_limit_that_version_1_judged_an_operating_point_by_is_not_taken_for_the_worst() -> None:
    metric = Metric("sensitivity", 0.98, 0.98, artifact_interval=_WIDE)
    point = PointMetrics(0.5, (metric,), (metric,))
    curve = Curve((0.5,), (0.98,), (0.98,), (0.98,), 0.98)
    measured = measured_artifact(
        Comparison(20, 1, 0, 0, ()), Requirement("sensitivity for '3' (upper 95 % limit)", True, 0.9, 0.99)
    )
    decided = OperatingEvidence("3", "sensitivity", 0.9, (54, 20), point, point, curve, curve)
    found = _read_as_version_1(replace(measured, operating_point=decided))
    (requirement,) = found.requirements
    assert (requirement.what, requirement.measured, requirement.bound) == ("sensitivity for '3'", 0.98, 0.7)
    assert found.status == "not shown"
    assert found.operating_point is not None
    assert "without a guarantee" in found.operating_point.guarantee


def _read_as_version_1(measured: Measured) -> Measured:
    evidence = Evidence(
        created="2026-11-23T00:00:00Z",
        source_sha256="0" * 64,
        machine=this_machine(),
        evaluation=SetFacts("labelled/", 100, "1" * 64, labelled=True),
        calibration=None,
        results=(measured,),
    )
    document = json.loads(evidence_json(evidence))
    document["schema_version"] = 1
    del document["edgevision"]
    for row in document["results"][0]["requirements"]:
        for name in ("bound", "images_needed", "confidence", "status"):
            row.pop(name)
    return read_evidence(json.dumps(document), "evidence.json").results[0]
