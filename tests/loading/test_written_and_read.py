"""Our own reader of other programs' metadata reads back what we write for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision.artifact import Artifact, read_artifact
from edgevision.description import KEY, ModelDescription
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from tiny_bundles import LABELS, RGB, classifier_artifact, detector_artifact, nchw
from tiny_onnx import tiny_onnx_bytes

CLASSIFIER = {"name": "classify", "output": "scores", "score_kind": "softmax"}
YOLO = {
    "name": "detect",
    "decoder": "yolo",
    "decoder_settings": {"output": "o", "transposed": True, "objectness": False, "box_unit": "pixels"},
    "score_threshold": 0.2,
    "iou_threshold": 0.5,
    "max_detections": 100,
}
NAMES = tuple(label.replace(" ", "_") for label in LABELS)


def tiny(form: str, folder: Path) -> Artifact:
    if form == "tflite":
        return classifier_artifact()
    onnx = Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})
    if form == "onnx":
        return onnx
    openvino = pytest.importorskip("edgevision_openvino.runtime").import_openvino()
    openvino.save_model(openvino.Core().read_model(onnx.content), folder / "tiny.xml", compress_to_fp16=False)
    return read_artifact(folder / "tiny.xml")


def write(artifact: Artifact, description: ModelDescription, folder: Path, own: bool) -> Path:
    """The artifact in files, with our own description under another name unless `own`."""
    backend: Any = registry().backend(artifact.format)
    files = backend.write_description(artifact, description).artifact.files
    folder.mkdir()
    for name, content in files.items():
        other = content if own else content.replace(KEY.encode(), b"otherthing")
        (folder / name).write_bytes(other)
    return folder / next(iter(files))


@pytest.mark.parametrize("form", ["tflite", "onnx", "openvino"])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_a_classifier(tmp_path: Path, form: str, resize: str) -> None:
    if form == "tflite" and resize == "letterbox":
        pytest.skip("TFLite Metadata cannot say it, and is left out")
    artifact = tiny(form, tmp_path)
    graph: Any = registry().backend(form).editable_graph(artifact)
    graph.set_outputs({"scores": graph.output("scores")})
    how = Preprocessing((8, 8), (0.0, 1.0), resize, mean=RGB.mean, scale=RGB.scale, pad_value=9)
    how = how if form == "tflite" else nchw(how)
    description = ModelDescription(CLASSIFIER, how.to_dict(), LABELS)
    picture = np.random.default_rng(4).integers(0, 256, (9, 14, 3), np.uint8)
    scores = {}
    for own in (True, False):
        path = write(graph.artifact(), description, tmp_path / str(own), own)
        with edgevision.load_classifier(path, form) as model:
            scores[own] = model.scores([picture])[0]
            assert model.labels in (LABELS, NAMES)
    np.testing.assert_allclose(scores[True], scores[False], atol=1e-6)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_detector_of_yolov8s_form(tmp_path: Path, form: str) -> None:
    graph: Any = registry().backend(form).editable_graph(detector_artifact(tiny(form, tmp_path)))
    boxes = graph.binary("multiply", graph.output("b"), graph.constant(np.full((1, 1, 4), 8)))
    rows = graph.concatenate([boxes, graph.output("s")], 2)
    graph.set_outputs({"o": graph.transpose(rows, (0, 2, 1))})
    how = nchw(Preprocessing((8, 8), (0.0, 1.0), "letterbox", pad_value=114))
    description = ModelDescription(YOLO, how.to_dict(), LABELS)
    picture = np.random.default_rng(4).integers(0, 256, (9, 14, 3), np.uint8)
    found = {}
    for own in (True, False):
        path = write(graph.artifact(), description, tmp_path / str(own), own)
        with edgevision.load_detector(path, form) as model:
            found[own] = [
                (one.label.replace(" ", "_"), round(one.score, 4), *np.round(one.box, 2))
                for one in model(picture)
            ]
    assert found[True]
    assert found[True] == found[False]
