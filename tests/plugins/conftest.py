"""Tiny artifacts for the backends, built without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevision.artifact import Artifact, read_artifact
from tiny_onnx import tiny_onnx_bytes

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def tiny_onnx() -> Artifact:
    return Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})


@pytest.fixture(scope="session")
def open_height_onnx(tiny_onnx: Artifact) -> Artifact:
    """The same network with an open height, which no backend loads."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(tiny_onnx.content)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    return Artifact("onnx", "float32", {"open.onnx": model.SerializeToString()})


@pytest.fixture(scope="session")
def tiny_float16_onnx() -> Artifact:
    return Artifact("onnx", "float16", {"tiny.onnx": tiny_onnx_bytes(np.float16)})


@pytest.fixture(scope="session")
def tiny_ir(tiny_onnx: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    runtime = pytest.importorskip("edgevision_openvino.runtime")
    openvino = runtime.import_openvino()
    path = tmp_path_factory.mktemp("ir") / "tiny.xml"
    openvino.save_model(openvino.Core().read_model(tiny_onnx.content), path, compress_to_fp16=False)
    return read_artifact(path)


@pytest.fixture(params=["tiny", "tiny_float16", "tiny_int8"])
def any_tiny_tflite(request: pytest.FixtureRequest) -> Artifact:
    return read_artifact(DATA / f"{request.param}.tflite")


@pytest.fixture(scope="session")
def tiny_tflite() -> Artifact:
    return read_artifact(DATA / "tiny.tflite")


@pytest.fixture(scope="session")
def tiny_int8_tflite() -> Artifact:
    return read_artifact(DATA / "tiny_int8.tflite")
