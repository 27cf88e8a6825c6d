"""``edgevision convert --prediction-sets``, and what `inspect` and `predict` show of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import edgevision as ev


@pytest.mark.convert
def test_a_bundle_with_prediction_sets_is_converted_inspected_and_asked(
    quickstart: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    folder = quickstart / "quickstart"
    words = ["convert", folder / "digits.keras", "--target", "generic-cpu", "--precision", "float32"]
    words += ["--calibration", folder / "training", "--evaluation", folder / "evaluation"]
    words += ["--prediction-sets", 0.9, "--set-method", "raps", "-o", "sets.evb", "--accept-not-shown"]
    done = edgevision_command(*words)
    assert done.returncode == 0, done.stderr
    assert "prediction sets (RAPS) with a coverage of 90.00 %" in done.stdout
    bundle = tmp_path / "sets.evb"
    for entry in ev.read_bundle(bundle).manifest.artifacts:
        assert entry.score_calibration is not None
        sets = entry.score_calibration.prediction_sets
        assert sets is not None
        assert (sets.method, sets.coverage) == ("raps", 0.9)
    assert "prediction sets with a coverage of 90.00 % (RAPS)" in edgevision_command("inspect", bundle).stdout
    rows = edgevision_command("predict", bundle, folder / "evaluation", "--json").stdout.splitlines()
    documents = [json.loads(row) for row in rows]
    covered = [Path(row["image"]).parent.name in row["prediction_set"]["labels"] for row in documents]
    assert sum(covered) / len(covered) > 0.85
    for row in documents:
        assert ("status" in row) is (len(row["prediction_set"]["labels"]) != 1)
    lines = edgevision_command("predict", bundle, folder / "evaluation").stdout.splitlines()
    assert all("{" in line for line in lines)
    assert edgevision_command("selftest", bundle).returncode == 0


def test_a_method_without_a_coverage_is_refused(edgevision_command: Any) -> None:
    words = ["convert", "a.keras", "--target", "generic-cpu", "--set-method", "raps", "-o", "b.evb"]
    done = edgevision_command(*words)
    assert done.returncode == 2
    assert "pass --prediction-sets 0.9" in done.stderr
