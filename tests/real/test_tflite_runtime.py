"""A device of some years ago: tflite-runtime 2.14 and numpy 1 run a converted bundle to the same answers.

The two need an environment of their own. ``EDGEVISION_TFLITE_RUNTIME_PYTHON`` names its Python, in
which ``pip install ".[tflite-runtime]"`` was run; CI makes one.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgevision
from streaming.video_files import write_video
from tiny_bundles import classifier_artifact, write_artifacts

pytestmark = pytest.mark.convert
VARIABLE = "EDGEVISION_TFLITE_RUNTIME_PYTHON"


def test_an_old_runtime_gives_the_same_answers(quickstart: Path) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f'needs {VARIABLE}, a Python with pip install "edgevision[tflite-runtime]"')
    images = sorted((quickstart / "quickstart" / "evaluation").rglob("*.png"))
    program = (
        "import json, sys, numpy, edgevision\n"
        "assert int(numpy.__version__.split('.')[0]) == 1, numpy.__version__\n"
        "model = edgevision.load(sys.argv[1], backend='tflite', selftest='always')\n"
        "from edgevision.plugins import registry\n"
        "version = registry().backend('tflite').version()\n"
        "rows = model.scores(sys.argv[2:])\n"
        "print(json.dumps({'version': version, 'scores': rows.tolist()}))"
    )
    done = subprocess.run(
        [python, "-c", program, "quickstart/digits.evb", *map(str, images)],
        cwd=quickstart,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["version"].startswith("tflite-runtime 2.14")
    with edgevision.load(quickstart / "quickstart" / "digits.evb", backend="tflite") as model:
        here = model.scores(images)
    there = np.array(document["scores"], np.float32)
    assert np.mean(here.argmax(axis=1) == there.argmax(axis=1)) >= 0.998
    # Its integer kernels round a step the other way here and there: 2 of 5,970 scores differ by 0.06.
    np.testing.assert_allclose(there, here, atol=0.1)


def test_streams_and_isolated_sessions_run_there(tmp_path: Path) -> None:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f'needs {VARIABLE}, a Python with pip install "edgevision[tflite-runtime]"')
    path = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    clip = write_video(tmp_path / "clip.avi", frames=12)
    program = (
        "import json, sys, numpy, edgevision\n"
        "assert int(numpy.__version__.split('.')[0]) == 1, numpy.__version__\n"
        "answers = []\n"
        "for isolate in (False, True):\n"
        "    with edgevision.load(sys.argv[1], backend='tflite', isolate=isolate) as model:\n"
        "        stream = model.stream(sys.argv[2])\n"
        "        answers.append([result.value.scores.tolist() for _, result in stream])\n"
        "print(json.dumps(answers))"
    )
    done = subprocess.run([python, "-c", program, path, clip], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    plain, isolated = json.loads(done.stdout)
    assert plain == isolated
    with edgevision.load_classifier(path, backend="tflite") as model:
        here = [result.value.scores for _, result in model.stream(clip)]
    np.testing.assert_allclose(plain, here, atol=1e-4)
