"""A short form of `benchmarks/soak.py`: no crossed answers, and no growth."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"
MODULES = {"tflite": ["ai_edge_litert"], "openvino": ["openvino"], "onnx": ["onnxruntime", "onnx"]}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in Linux's /proc")
@pytest.mark.parametrize("backend", MODULES)
def test_answers_are_not_crossed_and_nothing_grows(backend: str) -> None:
    missing = [module for module in MODULES[backend] if find_spec(module) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    counts = ["--answers", "2000", "--loads", "40", "--calls", "1000"]
    command = [sys.executable, SOAK, "--backend", backend, *counts]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "0 crossed" in done.stdout
