"""Isolated models, streams, health, gate and sets, here and with numpy 1 and tflite-runtime.

``EDGEVISION_TFLITE_RUNTIME_PYTHON`` names the Python of these two; see tests/real/test_tflite_runtime.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.bundle.storage import read_bundle, write_bundle
from edgevision.tasks.prediction_sets import PredictionSets
from edgevision.tasks.score_calibration import ScoreCalibration
from tiny_bundles import classifier_artifact, write_artifacts

VARIABLE = "EDGEVISION_TFLITE_RUNTIME_PYTHON"
PYTHON = os.environ.get(VARIABLE, "")

PROGRAM = """
import json, os, pathlib, signal, sys, threading, time
import numpy as np
import edgevision as ev

bundle, restarts = sys.argv[1], int(sys.argv[2])
frames = np.load(sys.argv[3])
found = {"stream": [], "scores": [], "numpy": np.__version__}


def open_now():
    tasks = pathlib.Path("/proc/self/task").iterdir()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "shared memory": pathlib.Path("/proc/self/maps").read_text().count("memfd:edgevision"),
        "children": sum(len((task / "children").read_text().split()) for task in tasks),
    }


with ev.load(bundle, isolate=ev.Isolation(most_restarts=10_000)) as model:
    found["backend"] = model.session.backend
    found["scores"] = [model(frame).scores.tolist() for frame in frames]
    found["set"] = list(model(frames[0]).prediction_set)
    for _, result in model.stream([*frames, *[frames[-1]] * 4, np.zeros((48, 64, 3), np.uint8)], "wait"):
        found["stream"].append(result.status)
    found["health"] = model.health().state
    counts = []
    for number in range(restarts):
        os.kill(model.session._session._supervision.running().process.pid, signal.SIGKILL)
        try:
            model(frames[0])
        except ev.errors.ProcessError:  # it was on its way already
            model(frames[0])
        time.sleep(0.1)  # the end of the killed process is collected by a thread
        if number in (1, restarts - 1):
            counts.append(open_now())
    found["counts"] = counts
    found["restarts"] = model.health().restarts
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path_factory.mktemp("old") / "m.evb"
    sets = ScoreCalibration(prediction_sets=PredictionSets("lac", 0.9, 0.9, 50, abstain=False))
    write_artifacts(path, {"tflite-float32": classifier_artifact()}, score_calibration=sets)
    opened = read_bundle(path)
    files = {entry.path: opened.read(entry) for entry in opened.manifest.files()}
    gate = ev.InputGate(dark_share=0.9, frozen_frames=3)
    write_bundle(path, replace(opened.manifest, input_gate=gate), files, force=True)
    return path


def run(python: str, bundle: Path, frames: Path, restarts: int) -> dict[str, object]:
    command = [python, "-c", PROGRAM, str(bundle), str(restarts), str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


OLD = pytest.mark.skipif(
    not PYTHON, reason=f'needs {VARIABLE}, with pip install "edgevision[tflite-runtime]"'
)


@pytest.mark.parametrize(
    ("python", "restarts"),
    [
        pytest.param(sys.executable, 10, id="this runtime"),
        pytest.param(sys.executable, 100, id="this runtime, 100 restarts", marks=pytest.mark.slow),
        pytest.param(PYTHON, 10, id="an old one", marks=OLD),
        pytest.param(PYTHON, 100, id="an old one, 100 restarts", marks=[OLD, pytest.mark.slow]),
    ],
)
def test_a_runtime_is_isolated_streamed_checked_and_gated_and_its_restarts_leave_nothing(
    python: str, restarts: int, bundle: Path, tmp_path: Path
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    found: Any = run(python, bundle, tmp_path / "frames.npy", restarts)
    assert (found["numpy"][:2] == "1.") is (python == PYTHON)
    assert found["backend"] == "tflite"
    assert found["health"] == "ok"
    assert found["stream"] == ["ok"] * 4 + ["abstained: frozen"] * 3 + ["abstained: black"]
    assert found["restarts"] == restarts
    first, last = found["counts"]
    assert last == first
    assert last["children"] == 1
    with ev.load(bundle) as model:
        expected = [model(frame) for frame in frames]
    assert np.allclose(found["scores"], [one.scores for one in expected], atol=1e-3)
    assert found["set"] == list(expected[0].prediction_set or ())
