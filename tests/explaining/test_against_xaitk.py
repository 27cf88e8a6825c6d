"""RISE of xaitk-saliency gives the same map, up to noise, where the network is a function.

It brings scikit-image, and so needs an environment of its own: ``EDGEVISION_PEERS_PYTHON`` names its Python.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_attribution import PATCH, image, runs_of

from edgevision.explaining.attribution import attribution
from edgevision.explaining.faithfulness import top_overlap
from edgevision.explaining.settings import ExplainSettings


def test_the_map_is_that_of_xaitk(tmp_path: Path) -> None:
    python = os.environ.get("EDGEVISION_PEERS_PYTHON")
    if not python:
        pytest.skip('needs EDGEVISION_PEERS_PYTHON, a Python with pip install "edgevision[benchmarks]"')
    np.save(tmp_path / "image.npy", image("uint8")[:, :, 0])
    sides = [str(side) for part in PATCH for side in (part.start, part.stop)]
    script = Path(__file__).with_name("rise_of_xaitk.py")
    words = [python, script, tmp_path / "image.npy", *sides, tmp_path / "map.npy"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    theirs = np.load(tmp_path / "map.npy").astype(np.float32)
    ours = attribution(runs_of(), ExplainSettings(budget=2000, reliability=1), None).map.astype(np.float32)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9
    assert top_overlap(ours, theirs) > 0.7
