"""The plugins for ncnn and MNN, installed from their folders: commands work with them as with our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tiny_onnx import tiny_onnx_bytes

PLUGINS = Path(__file__).parents[2] / "examples" / "plugins"
SESSION = Path(__file__).with_name("runtimes_through_all.py")
INSTALL = "pip install --no-deps ncnn pnnx MNN"
pytestmark = pytest.mark.skipif(
    any(find_spec(module) is None for module in ("ncnn", "pnnx", "MNN")), reason=f"needs: {INSTALL}"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH into which pip installed both plugins."""
    folder = tmp_path_factory.mktemp("runtimes")
    for name in ("ncnn", "mnn"):
        shutil.copytree(PLUGINS / name, folder / name)
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    sources = (folder / "ncnn", folder / "mnn")
    subprocess.run([sys.executable, *pip, "--target", folder / "site", *sources], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def found(site: Path) -> dict[str, Any]:
    """What each command gave, in a process that has the packages installed."""
    pytest.importorskip("keras", reason="needs the extra `convert`")
    paths = os.pathsep.join([str(site), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, SESSION, site.parent / "work", site.parent / "found.json"],
        env={**os.environ, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, Any] = json.loads((site.parent / "found.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.convert
def test_segmentation_at_float16_keeps_its_dice_on_both(found: dict[str, Any]) -> None:
    results = {one["backend"]: one for one in found["inspect"]["evidence"]["results"]}
    assert set(results) == {"ncnn", "mnn"}
    for one in results.values():
        assert one["status"] == "passed"
        (dice,) = [metric for metric in one["comparison"]["metrics"] if metric["name"] == "mean Dice"]
        assert dice["source"] > 0.9
        assert abs(dice["drop"]) < 0.005
    plugins = {(one["role"], one["name"]): one["package"] for one in found["plugins"]}
    for name in ("ncnn", "mnn"):
        assert plugins["converter", f"keras-{name}"] == plugins["backend", name] == f"edgevision-{name}"


@pytest.mark.convert
@pytest.mark.parametrize("backend", ["ncnn", "mnn"])
def test_predict_and_evaluate_answer_as_the_evidence_says(found: dict[str, Any], backend: str) -> None:
    answer, measured = found[backend]["predict"], found[backend]["evaluate"]
    assert (answer["backend"], answer["device"], answer["precision"]) == (backend, "cpu", "float32")
    assert {one["label"] for one in answer["classes"]} == {"background", "disc", "box"}
    assert {one["name"]: one["value"] for one in measured["metrics"]}["mean Dice"] > 0.9
    assert found["bare"][backend]["classes"] == answer["classes"]


@pytest.mark.convert
def test_tune_bench_limits_and_report_know_their_formats(found: dict[str, Any]) -> None:
    rows = {(row["artifact"], row["status"]) for row in found["tune"]["rows"]}
    assert rows == {("ncnn-float16", "passed"), ("mnn-float16", "passed")}
    assert (found["bench"]["backend"], found["bench"]["task"]) == ("mnn", "segment")
    assert found["limits"].startswith("ncnn-float16: size is 0.00")
    assert "(its target allows 0.001 MB); nothing was written" in found["limits"]
    assert "ncnn-float16" in found["report"]
    assert "mnn-float16" in found["report"]


@pytest.mark.convert
def test_each_precision_computes_what_the_network_does_and_the_same_conversion_gives_the_same_bytes(
    found: dict[str, Any],
) -> None:
    made = found["again"]
    limits = {"float32": 1e-4, "float16": 0.01, "int8-dynamic": 0.2}
    assert {name.partition("-")[2] for name in made} == set(limits)
    for name, one in made.items():
        precision = name.partition("-")[2]
        assert one["error"] < limits[precision], name
        # In another process than the conversion: MNN writes a random identifier, which is taken out.
        assert one["same"] == (precision == "float16"), name
    assert made["ncnn-float16"]["size"] < 0.7 * made["ncnn-float32"]["size"]
    assert made["mnn-int8-dynamic"]["size"] < made["mnn-float16"]["size"] < made["mnn-float32"]["size"]


def test_their_converters_contact_nobody_and_install_nothing(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace: apt-get install strace")
    monkeypatch.syspath_prepend(str(site))
    (tmp_path / "model.onnx").write_bytes(tiny_onnx_bytes(np.float32))
    mnn = import_module("edgevision_mnn").converter_command("model.onnx", "model.mnn", "float16")
    ncnn = import_module("edgevision_ncnn").converter_command("model.onnx", "[1,3,8,8]", "float16")
    for command, written in ((mnn, "model.mnn"), (ncnn, "model.ncnn.param")):
        log = tmp_path / "calls"
        watched = [strace, "-f", "-qq", "-o", log, "-e", "trace=execve,connect", *command]
        subprocess.run(watched, cwd=tmp_path, capture_output=True, check=True)
        assert (tmp_path / written).is_file()
        calls = log.read_text(errors="replace")
        assert "AF_INET" not in calls
        assert calls.count("execve(") == 1, calls
