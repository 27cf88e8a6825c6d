"""The tutorial's task, from a package of its own: it works in each command, and the core does not name it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgevision.bundle.storage import read_bundle
from edgevision.errors import BundleError

pytestmark = pytest.mark.convert

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins" / "pose"
SESSION = Path(__file__).with_name("pose_through_all.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each command gave, in a process that has the package installed."""
    pytest.importorskip("keras", reason="needs the extra `convert`")
    folder = tmp_path_factory.mktemp("pose")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *pip, "--target", folder / "site", folder / "source"], check=True)
    done = subprocess.run(
        [sys.executable, SESSION, folder / "work"],
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_bundle_names_the_package_of_its_task_and_where_that_lacks_the_command_that_installs_it(
    found: dict[str, Any],
) -> None:
    plugins = found["manifest"]["manifest"]["provenance"]["plugins"]
    record = {"role": "task", "name": "pose", "package": "edgevision-pose", "version": "0.1"}
    assert record in plugins
    with pytest.raises(BundleError, match=r"'pose' is not installed; run: pip install edgevision-pose==0\.1"):
        read_bundle(Path(found["bundle"]))


def test_the_tutorial_has_under_150_lines() -> None:
    files = list((EXAMPLE / "edgevision_pose").glob("*.py"))
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) < 150


def test_a_network_is_converted_with_evidence_in_the_tasks_own_metrics(found: dict[str, Any]) -> None:
    assert "if the model finds key points, pass --task pose" in found["not stated"]
    assert "PCK@5px" in found["convert"]
    assert found["manifest"]["manifest"]["task"] == {
        "name": "pose",
        "output": "heat",
        "points": ["red", "blue"],
    }


def test_predict_evaluate_compare_bench_selftest_and_report_know_it(found: dict[str, Any]) -> None:
    assert [one["label"] for one in found["predict"]["points"]] == ["red", "blue"]
    measured = json.loads(found["evaluate"])
    assert {metric["name"]: metric["value"] for metric in measured["metrics"]}["PCK@5px"] > 0.9
    assert "distance" in found["compare"]
    assert "onnx" in found["bench"]
    assert "pose" in found["inspect"]


def test_streams_their_journal_and_the_preview_know_it(found: dict[str, Any]) -> None:
    assert "red" in found["journal"]
    assert found["live"]["picture"] > 500
    assert found["live"]["frame"]["kind"] == "lines"
    assert found["live"]["frame"]["found"][0]["label"].startswith("red ")
    assert "24" in found["replay"]
    assert "0 " in found["replay"] or "none" in found["replay"]


def test_what_it_does_not_give_is_told(found: dict[str, Any]) -> None:
    assert "answers of a PoseEstimator are not explained" in found["explain"]
