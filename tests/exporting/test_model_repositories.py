"""export() for inference servers: repositories that they read, whose networks answer as the bundle does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision.artifact import Artifact, read_artifact
from edgevision.description import ModelDescription
from edgevision.errors import ConversionError, OptionError
from edgevision.export_format import ExportedModel
from edgevision.exporting.ovms import OpenVINOModelServer
from edgevision.exporting.triton import Triton
from edgevision.tensors import TensorSpec
from tiny_bundles import (
    CLASSIFY,
    DETECT,
    LABELS,
    classifier_artifact,
    detector_artifact,
    nchw,
    write_artifacts,
)
from tiny_onnx import tiny_onnx_bytes

pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of classifiers and detectors, in ONNX with any batch, in OpenVINO, and in TFLite with a fixed one."""
    folder = tmp_path_factory.mktemp("bundles")
    onnx = Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})
    openvino = pytest.importorskip("edgevision_openvino.runtime").import_openvino()
    openvino.save_model(openvino.Core().read_model(onnx.content), folder / "tiny.xml", compress_to_fp16=False)
    both = {"openvino-float32": read_artifact(folder / "tiny.xml"), "onnx-float32": onnx}
    detectors = {name: detector_artifact(artifact) for name, artifact in both.items()}
    return {
        "both": write_artifacts(folder / "a pear.evb", both, how=nchw()),
        "detectors": write_artifacts(folder / "boxes.evb", detectors, task=DETECT, how=nchw()),
        "tflite": write_artifacts(folder / "lite.evb", {"tflite-float32": classifier_artifact()}),
    }


def triton_config(text: bytes) -> Any:
    """A ``config.pbtxt`` as Triton reads it."""
    config = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient, grpcio")
    from google.protobuf import text_format

    return text_format.Parse(text, config.ModelConfig())


def answers_of(network: Path, picture: Any) -> Any:
    with edgevision.load(network) as model:
        found = model(picture)
    return [(one.label, round(one.score, 3)) for one in (found.top(5) if hasattr(found, "top") else found)]


@pytest.fixture
def picture() -> Any:
    return np.random.default_rng(5).integers(0, 256, (24, 40, 3), np.uint8)


def test_a_classifier_for_triton(bundles: dict[str, Path], tmp_path: Path, picture: Any) -> None:
    done = edgevision.export(bundles["both"], tmp_path, form="triton")
    written = sorted(str(path.relative_to(tmp_path)) for path in done.files)
    assert written == ["a_pear/1/model.onnx", "a_pear/config.pbtxt", "a_pear/labels.txt"]
    config = triton_config((tmp_path / "a_pear" / "config.pbtxt").read_bytes())
    assert (config.name, config.backend, config.max_batch_size) == ("a_pear", "onnxruntime", 8)
    (image,) = config.input
    assert (image.name, image.data_type, list(image.dims)) == ("image", 11, [3, 8, 8])  # TYPE_FP32
    outputs = {one.name: (list(one.dims), one.label_filename) for one in config.output}
    assert outputs == {"features": ([4], ""), "scores": ([5], "labels.txt")}
    assert config.HasField("dynamic_batching")
    assert [(group.kind, group.count) for group in config.instance_group] == [(2, 1)]  # KIND_CPU
    assert not config.HasField("optimization")
    assert (tmp_path / "a_pear" / "labels.txt").read_text().splitlines() == list(LABELS)
    assert answers_of(tmp_path / "a_pear" / "1" / "model.onnx", picture) == answers_of(
        bundles["both"], picture
    )
    assert any("resizes to 8x8" in note and "0 to 1" in note for note in done.notes)


def test_openvino_for_triton_has_no_batching(bundles: dict[str, Path], tmp_path: Path) -> None:
    done = edgevision.export(bundles["detectors"], tmp_path, form="triton", artifact="openvino-float32")
    names = [str(path.relative_to(tmp_path)) for path in done.files]
    assert sorted(names) == ["boxes/1/model.bin", "boxes/1/model.xml", "boxes/config.pbtxt"]
    config = triton_config((tmp_path / "boxes" / "config.pbtxt").read_bytes())
    assert (config.backend, config.max_batch_size) == ("openvino", 0)
    assert not config.HasField("dynamic_batching")
    assert [len(one.dims) for one in (*config.input, *config.output)] == [4, 3, 3]


@pytest.mark.parametrize(
    ("precision", "mode"),
    [("float32", "FP32"), ("float16", "FP16"), ("int8", "INT8"), ("int8-mixed", "INT8")],
)
def test_what_was_converted_for_a_gpu_runs_there_with_tensorrt(precision: str, mode: str) -> None:
    made = Triton().export(_model(precision=precision, backends=("cuda",)))
    config = triton_config(made.others["it_s/config.pbtxt"])
    assert [group.kind for group in config.instance_group] == [1]  # KIND_GPU
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt"
    assert dict(accelerator.parameters) == {"precision_mode": mode, "trt_engine_cache_enable": "1"}


def _model(**changes: Any) -> ExportedModel:
    precision = changes.pop("precision", "float32")
    how = {"size_wh": [8, 8], "value_range": [0.0, 1.0], "mean": [0.0], "scale": [1.0], "color": "rgb"}
    task = {"name": "classify", "output": 'a "quoted"\\ name\n', "score_kind": "softmax"}
    return ExportedModel(
        "onnx-int8",
        Artifact("onnx", precision, {"tiny.onnx": b"network", "weights.data": b"weights"}),
        ModelDescription(task, {**how, "layout": "nchw"}, ("a", "b")),
        (TensorSpec("image", (None, 3, 8, 8), "float32"),),
        (TensorSpec('a "quoted"\\ name\n', (None, 2), changes.pop("dtype", "float32")),),
        name='it"s',
        **changes,
    )


def test_names_of_tensors_and_files_come_through() -> None:
    made = Triton().export(_model())
    config = triton_config(made.others["it_s/config.pbtxt"])
    assert config.output[0].name == 'a "quoted"\\ name\n'
    assert list(made.artifact.files) == ["model.onnx", "weights.data"]
    assert made.folder == "it_s/1"


@pytest.mark.parametrize("form", [Triton(), OpenVINOModelServer()], ids=lambda form: form.name)
def test_a_model_that_takes_no_image_is_refused(form: Any) -> None:
    model = _model()
    described = ModelDescription({"name": "generate"}, None, ())
    changed = ExportedModel("onnx-float32", model.artifact, described, model.inputs, model.outputs)
    with pytest.raises(ConversionError, match="cannot take a model that takes no image"):
        form.export(changed)


def test_a_datatype_that_triton_does_not_have_is_refused() -> None:
    with pytest.raises(ConversionError, match="has no datatype for complex64"):
        Triton().export(_model(dtype="complex64"))


def test_triton_runs_no_tflite(bundles: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no artifact that triton is made from \(onnx, openvino\)"):
        edgevision.export(bundles["tflite"], tmp_path, form="triton")


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("both", ["a_pear/1/model.bin", "a_pear/1/model.xml", "config.json"]),
        ("tflite", ["config.json", "lite/1/model.tflite"]),
    ],
)
def test_a_repository_for_openvino_model_server(
    bundles: dict[str, Path], tmp_path: Path, picture: Any, name: str, files: list[str]
) -> None:
    done = edgevision.export(bundles[name], tmp_path, form="ovms")
    assert sorted(str(path.relative_to(tmp_path)) for path in done.files) == files
    (entry,) = json.loads((tmp_path / "config.json").read_text())["model_config_list"]
    assert entry["config"]["base_path"] == entry["config"]["name"]
    folder = tmp_path / entry["config"]["base_path"] / "1"
    (network,) = (path for path in folder.iterdir() if path.suffix != ".bin")
    with edgevision.load(network) as model:
        assert model.task == CLASSIFY
    assert answers_of(network, picture) == answers_of(bundles[name], picture)
    assert any("OpenVINO runs the tflite file" in note for note in done.notes) is (name == "tflite")
