"""What artifacts say for other programs, read back as those programs read it: the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from described_networks import (
    grid_rows,
    onnx_classifier,
    onnx_detector,
    openvino_ir,
    tflite_bytes,
    tflite_classifier,
    tflite_detector,
)

import edgevision
from edgevision.artifact import Artifact, read_artifact
from edgevision.description import ModelDescription
from edgevision.loading import bare
from edgevision.plugins import registry

LABELS = ("person", "road sign", "car")
PICTURE = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)


def preprocessing(layout: str, **changes: Any) -> dict[str, Any]:
    stated = {
        "size_wh": [32, 32],
        "value_range": [0.0, 1.0],
        "resize": "stretch",
        "interpolation": "bilinear",
        "color": "rgb",
        "mean": [0.0],
        "scale": [1.0],
        "layout": layout,
        "pad_value": 0,
    }
    known = edgevision.Preprocessing((32, 32), (0.0, 1.0)).to_dict()
    return {**known, **stated, **changes}


def yolo(output: str, unit: str) -> dict[str, Any]:
    settings = {"output": output, "transposed": True, "objectness": False, "box_unit": unit}
    task = {"name": "detect", "decoder": "yolo", "decoder_settings": settings}
    return {**task, "score_threshold": 0.25, "iou_threshold": 0.7, "max_detections": 300}


def artifact(folder: Path, kind: str, detector: bool) -> Artifact:
    """A network of one of the formats."""
    if kind == "tflite":
        shares = grid_rows(3, [0.5, 0.5, 0.25, 0.125], 1)
        content = tflite_bytes(tflite_detector(shares) if detector else tflite_classifier())
        return Artifact("tflite", "float32", {"model.tflite": content})
    content = onnx_detector(grid_rows(3, [16, 16, 8, 4], 1)) if detector else onnx_classifier()
    if kind == "onnx":
        return Artifact("onnx", "float32", {"model.onnx": content})
    return read_artifact(openvino_ir(folder, content))


def output_of(kind: str, detector: bool) -> str:
    return "output0" if kind != "tflite" else "boxes" if detector else "scores"


def loaded(folder: Path, written: Artifact) -> Any:
    for name, content in written.files.items():
        (folder / name).write_bytes(content)
    return edgevision.load(folder / written.name)


@pytest.mark.parametrize("kind", ["tflite", "openvino", "onnx"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"value_range": [0.0, 255.0], "mean": [127.5], "scale": [127.5]},
        {"mean": [0.485, 0.456, 0.406], "scale": [0.229, 0.224, 0.225]},
        {"value_range": [-1.0, 1.0]},
    ],
)
def test_a_classifier(tmp_path: Path, kind: str, changes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    how = preprocessing("nhwc" if kind == "tflite" else "nchw", **changes)
    task = {"name": "classify", "output": output_of(kind, False), "score_kind": "softmax"}
    description = ModelDescription(task, how, LABELS)
    backend: Any = registry().backend(kind)
    written = backend.write_description(artifact(tmp_path, kind, False), description).artifact
    with loaded(tmp_path, written) as model:
        ours = model.scores([PICTURE])
    monkeypatch.setattr(bare, "own_description", lambda artifact, plugins, runner: None)
    with loaded(tmp_path, written) as model:
        assert [label.replace("_", " ") for label in model.labels] == list(LABELS)
        np.testing.assert_allclose(model.scores([PICTURE]), ours, atol=1e-6)


@pytest.mark.parametrize("kind", ["tflite", "openvino", "onnx"])
def test_a_yolo(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    how = preprocessing("nhwc" if kind == "tflite" else "nchw", resize="letterbox", pad_value=114)
    task = yolo(output_of(kind, True), "share" if kind == "tflite" else "pixels")
    backend: Any = registry().backend(kind)
    written = backend.write_description(artifact(tmp_path, kind, True), ModelDescription(task, how, LABELS))
    with loaded(tmp_path, written.artifact) as model:
        ours = model(PICTURE).to_dict()
    assert len(ours["objects"]) == 1
    monkeypatch.setattr(bare, "own_description", lambda artifact, plugins, runner: None)
    with loaded(tmp_path, written.artifact) as model:
        theirs = model(PICTURE).to_dict()
        assert model.preprocessing.pad_value == 114
    for one in theirs["objects"]:
        one["label"] = one["label"].replace("_", " ")
    assert theirs == ours
