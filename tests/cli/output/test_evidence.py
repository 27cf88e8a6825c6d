"""The tables of an evidence: three results, limits told apart, intervals with method and confidence."""

from __future__ import annotations

import re

import pytest

from edgevision.calibration.findings import Finding
from edgevision.cli.output.evidence import echo_evidence
from edgevision.datasets.groups import GroupFacts
from edgevision.datasets.image_sets import SetFacts
from edgevision.evidence.records import Attempt, Evidence
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.intervals import Interval
from measured_artifacts import measured_artifact

GROUPS = GroupFacts("folder:2", 40, 25, 12.5, 32.0)


def _evidence(*requirements: Requirement, groups: GroupFacts | None = None) -> Evidence:
    drop = Interval(-0.0031, 0.00503, "newcombe")
    metric = Metric("accuracy", 0.7518, 0.7508, drop_interval=drop)
    comparison = Comparison(
        5000, 4999 / 5000, 0.01, 0.001, (metric,), agreement_interval=Interval(0.99887, 0.99996, "wilson")
    )
    measured = measured_artifact(comparison, *requirements, size_bytes=98_000)
    attempt = Attempt(
        "tflite-int8", (), 98_000, 0.9, {}, (Requirement("drop", False, 0.005, 0.001, bound=0.00503),)
    )
    finding = Finding("near-duplicates-in-evaluation", "warning", "9 of 400 images are near-duplicates")
    return Evidence(
        created="2026-11-26T00:00:00Z",
        source_sha256="a" * 64,
        machine={},
        evaluation=SetFacts("labelled/", 5000, "b" * 64, True, groups=groups),
        calibration=None,
        results=(measured,),
        attempts=()
        if measured.passed
        else (attempt, Attempt("onnx-int8", (), requirements=attempt.requirements)),
        calibration_findings=(finding,),
    )


def _printed(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> str:
    echo_evidence(evidence)
    return capsys.readouterr().out


def _cells(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(start))
    return re.split(r"  +", line)


@pytest.mark.parametrize(
    ("requirement", "cells"),
    [
        (
            Requirement("agreement", True, 0.95, 4999 / 5000, bound=0.99887),
            ["at least 95.00 %", "99.98 %", "99.89 % (95 % CI)", "passed"],
        ),
        (
            Requirement("drop in accuracy", False, 0.005, 0.001, bound=0.00503, images_needed=5061),
            [
                *("at most 0.500 percentage points", "0.10 percentage points"),
                *("0.503 percentage points (95 % CI)", "not shown", "about 5061 images"),
            ],
        ),
        (
            Requirement("drop in accuracy", False, 0.005, 0.00501, bound=0.01, confidence=0.99),
            [
                *("at most 0.500 percentage points", "0.501 percentage points"),
                *("1.00 percentage points (99 % CI)", "failed"),
            ],
        ),
        (
            Requirement("sensitivity for 'x'", True, 0.9, 0.95, bound=0.91, one_sided=True),
            ["at least 90.00 %", "95.00 %", "91.00 % (95 %, one-sided)", "passed"],
        ),
        (Requirement.exact("size", False, 2.0, 1.5, "MB"), ["at most 2 MB", "1.5 MB", "1.5 MB", "passed"]),
        (Requirement("mAP", True, 0.5, None), ["at least 50.00 %", "undefined", "undefined", "not shown"]),
    ],
    ids=["passed", "not shown", "failed", "one-sided", "exact", "undefined"],
)
def test_a_requirement_has_a_row_with_limit_value_worst_case_and_result(
    requirement: Requirement, cells: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = _printed(_evidence(requirement), capsys)
    assert _cells(text, f"tflite-int8  {requirement.what}")[2:] == cells
    assert _cells(text, "tflite-int8  tflite cpu")[-1] == requirement.status


def test_the_first_table_names_units_methods_and_confidence(capsys: pytest.CaptureFixture[str]) -> None:
    text = _printed(_evidence(Requirement("drop in accuracy", False, 0.005, 0.001, bound=0.00503)), capsys)
    assert "drop in percentage points (95 % CI)" in text
    assert "agreement (95 % CI)" in text
    assert "0.10 (-0.31 … 0.503)" in text, "beside the limit of 0.50"
    assert "confidence intervals: agreement: Wilson, 95 %; drop in accuracy: Newcombe, paired, 95 %" in text
    assert "rejected onnx-int8: drop not shown: 0.10 percentage points, at worst 0.503" in text
    assert "warning: 9 of 400 images are near-duplicates" in text
    assert "100.00" not in text


def test_groups_are_named_with_the_set_and_with_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    needed = Requirement("agreement", True, 0.9999, 0.99995, bound=0.998, images_needed=75_000)
    text = _printed(_evidence(needed, groups=GROUPS), capsys)
    assert "measured on 5000 images of labelled/ in 40 groups (folder:2), the largest of 25" in text
    assert "about 75000 images in 600 groups" in text
