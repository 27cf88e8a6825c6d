"""The first run of an artifact: in a process of its own, and nowhere else if that fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings
from edgevision.errors import PluginError
from edgevision.execution.first_run import first_run
from edgevision.execution.worker import Worker
from edgevision.plugins import registry
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

INPUTS = {"x": np.arange(6, dtype=np.float32).reshape(3, 2)}


@pytest.fixture
def doubling() -> Artifact:
    helper = pytest.importorskip("onnx.helper")
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    x, y = (helper.make_tensor_value_info(name, 1, ["batch", 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Artifact("onnx", "float32", {"model.onnx": model.SerializeToString()})


def test_the_outputs_are_those_of_all_images(doubling: Artifact) -> None:
    with Worker() as worker:
        outputs = first_run(
            worker, doubling, registry().backend("onnx"), SessionSettings(), INPUTS, "doubling on onnx"
        )
    assert np.array_equal(outputs["y"], 2 * INPUTS["x"])


def test_a_backend_that_only_this_process_has_runs_here() -> None:
    backend = FakeBackend({"y": [0.25, 0.75]})
    artifact = backend.artifact(
        [TensorSpec("x", (None, 2), "float32")], [TensorSpec("y", (None, 2), "float32")]
    )
    with Worker() as worker:
        outputs = first_run(worker, artifact, backend, SessionSettings(), INPUTS, "fake")
    assert outputs["y"].tolist() == [[0.25, 0.75]] * 3


def test_a_runtime_that_fails_in_the_worker_is_not_tried_here(
    doubling: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = registry().backend("onnx")
    backend.version()  # this process has imported the runtime; the worker finds a broken one
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Worker() as worker, pytest.raises(PluginError, match="cannot open shared object file"):
        first_run(worker, doubling, backend, SessionSettings(), INPUTS, "doubling on onnx")
