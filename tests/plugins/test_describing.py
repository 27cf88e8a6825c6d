"""Artifacts that describe their model: for EdgeVision completely, for others as far as it is true of them."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_graphs import ARTIFACTS, backend_of, image_for, run

from edgevision.artifact import Artifact
from edgevision.backend import DescribingBackend
from edgevision.description import ModelDescription, SelfDescribingFormat
from edgevision.descriptions.written import model_api_description, ultralytics_description
from edgevision.errors import ArtifactError
from edgevision.plugins import registry

LABELS = ("red apple", "pear", "Birne ä", "d", "e")
HOW: dict[str, Any] = {
    "size_wh": [8, 8],
    "value_range": [0.0, 1.0],
    "resize": "stretch",
    "interpolation": "bilinear",
    "color": "rgb",
    "mean": [0.485, 0.456, 0.406],
    "scale": [0.229, 0.224, 0.225],
    "layout": "nhwc",
    "pad_value": 0,
}
CLASSIFIER = ModelDescription({"name": "classify", "output": "scores", "score_kind": "softmax"}, HOW, LABELS)
YOLO: dict[str, Any] = {
    "name": "detect",
    "decoder": "yolo",
    "decoder_settings": {
        "output": "o",
        "transposed": True,
        "objectness": False,
        "box_unit": "pixels",
        "activation": "none",
    },
    "score_threshold": 0.25,
    "iou_threshold": 0.5,
    "max_detections": 100,
}
ULTRALYTICS_HOW = {**HOW, "resize": "letterbox", "pad_value": 114, "mean": [0.0], "scale": [1.0]}
DETECTOR = ModelDescription(YOLO, ULTRALYTICS_HOW, LABELS)
TEMPERATURE = {"temperature": 1.5, "operating_point": None}


def changed(description: ModelDescription, **fields: Any) -> ModelDescription:
    """The description with other fields of its task or its preprocessing."""
    task = {**description.task, **{name: fields[name] for name in fields if name in description.task}}
    how = {
        **(description.preprocessing or {}),
        **{n: fields[n] for n in fields if n in HOW or n == "bit_depth"},
    }
    calibration = fields.get("score_calibration", description.score_calibration)
    return replace(description, task=task, preprocessing=how, score_calibration=calibration)


@pytest.fixture(params=ARTIFACTS)
def artifact(request: pytest.FixtureRequest) -> Artifact:
    return request.getfixturevalue(request.param)


def described(artifact: Artifact, description: ModelDescription = CLASSIFIER) -> Any:
    backend = backend_of(artifact)
    assert isinstance(backend, SelfDescribingFormat)
    return backend.write_description(artifact, description)


def test_the_network_is_unchanged_and_the_description_is_read_back(artifact: Artifact) -> None:
    written = described(artifact).artifact
    image = image_for(artifact)
    before, after = run(artifact, image), run(written, image)
    assert before.keys() == after.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])
    assert backend_of(artifact).read_description(written) == CLASSIFIER
    assert backend_of(artifact).read_description(artifact) is None


def test_a_description_takes_the_place_of_an_earlier_one(artifact: Artifact) -> None:
    other = replace(CLASSIFIER, labels=("a", "b", "c", "d", "e"), score_calibration=TEMPERATURE)
    once, twice = described(artifact, other).artifact, described(described(artifact).artifact, other).artifact
    assert backend_of(artifact).read_description(twice) == other
    assert once.files == twice.files
    assert described(artifact, other).artifact.files == once.files


def test_a_damaged_description_is_refused(artifact: Artifact) -> None:
    written = described(artifact).artifact
    for old, new in ((b'"version"', b'"Version"'), (b'"labels"', b'"Labels"'), (b'"task"', b'"tusk"')):
        damaged = {
            name: content.replace(old, new).replace(
                old.replace(b'"', b"&quot;"), new.replace(b'"', b"&quot;")
            )
            for name, content in written.files.items()
        }
        with pytest.raises(ArtifactError, match="description"):
            backend_of(artifact).read_description(replace(written, files=damaged))


def test_a_tflite_file_has_a_signature_and_metadata_for_mediapipe(any_tiny_tflite: Artifact) -> None:
    one_output = tflite_with_one_output(any_tiny_tflite)
    made = described(one_output)
    from edgevision_tflite.runtime import find_runtime

    interpreter = find_runtime().interpreter(model_content=made.artifact.content)
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    backend = registry().backend("tflite")
    assert isinstance(backend, DescribingBackend)
    read = backend.describe(made.artifact)
    assert read.labels == LABELS
    np.testing.assert_allclose(read.mean or (), [123.675, 116.28, 103.53], rtol=1e-5)
    np.testing.assert_allclose(read.scale or (), [58.395, 57.12, 57.375], rtol=1e-5)
    assert made.notes == (
        "MediaPipe Tasks refuses a normalization per channel; run edgevision export --for mediapipe",
    )
    assert described(one_output, changed(CLASSIFIER, mean=[0.5], scale=[0.5])).notes == ()


def tflite_with_one_output(artifact: Artifact) -> Artifact:
    graph = registry().backend("tflite").editable_graph(artifact)
    graph.set_outputs({"scores": graph.output("scores")})
    return graph.artifact()


#: What TFLite Metadata cannot say, as MediaPipe Tasks reads it -> in words.
NOT_FOR_MEDIAPIPE = {
    "letterbox": ({"resize": "letterbox"}, "resizing by letterbox"),
    "crop": ({"resize": "center-crop"}, "resizing by center-crop"),
    "bgr": ({"color": "bgr"}, "BGR images"),
    "logits": ({"score_kind": "logits"}, "a softmax of its logits"),
    "temperature": ({"score_calibration": TEMPERATURE}, "a temperature of scores that sum to 1"),
    "a window of 12 bits": ({"bit_depth": 12}, "preprocessing by bit_depth"),
}


@pytest.mark.parametrize("case", NOT_FOR_MEDIAPIPE)
def test_metadata_that_would_lie_is_left_out_with_a_note(tiny_tflite: Artifact, case: str) -> None:
    fields, reason = NOT_FOR_MEDIAPIPE[case]
    made = described(tflite_with_one_output(tiny_tflite), changed(CLASSIFIER, **fields))
    assert b"TFLITE_METADATA" not in made.artifact.content
    (note,) = made.notes
    assert note.startswith(
        f"no metadata for MediaPipe Tasks, which cannot say: {reason}; run edgevision export"
    )


def test_a_temperature_of_independent_scores_is_in_the_metadata(tiny_tflite: Artifact) -> None:
    independent = changed(CLASSIFIER, score_kind="sigmoid", score_calibration=TEMPERATURE)
    made = described(tflite_with_one_output(tiny_tflite), independent)
    with zipfile.ZipFile(io.BytesIO(made.artifact.content)) as archive:
        lines = archive.read("score_calibration.txt").decode().split("\n")
        assert archive.read("labels.txt").decode().splitlines() == list(LABELS)
        # MediaPipe reads no member that is compressed.
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert lines == ["1.0,0.6666666666666666,0.0"] * 5


def test_model_api_gets_pixels_of_bgr_images_and_labels_without_spaces() -> None:
    values = model_api_description(CLASSIFIER, ["scores"]).values
    assert values["model_type"] == "Classification"
    assert values["labels"] == "red_apple pear Birne_ä d e"
    assert values["resize_type"] == "standard"
    assert values["reverse_input_channels"] == "True"
    np.testing.assert_allclose([*map(float, values["mean_values"].split())], [123.675, 116.28, 103.53])
    np.testing.assert_allclose([*map(float, values["scale_values"].split())], [58.395, 57.12, 57.375])
    bgr = changed(CLASSIFIER, color="bgr", resize="center-crop")
    assert model_api_description(bgr, ["scores"]).values["reverse_input_channels"] == "False"
    assert model_api_description(bgr, ["scores"]).values["resize_type"] == "crop"
    detector = model_api_description(DETECTOR, ["o"]).values
    assert (detector["model_type"], detector["pad_value"]) == ("YOLOv8", "114")
    assert detector["resize_type"] == "fit_to_window_letterbox"
    assert (detector["confidence_threshold"], detector["iou_threshold"]) == ("0.25", "0.5")


def test_an_interpolation_that_cannot_be_said_is_a_note(tiny_tflite: Artifact) -> None:
    area = changed(CLASSIFIER, interpolation="area", mean=[0.5], scale=[0.5])
    made = model_api_description(area, ["scores"])
    assert "interpolation_mode" not in made.values
    assert made.notes == (
        "Model API resizes images bilinearly, and this model by area: resize them to its size first",
    )
    nearest = model_api_description(changed(CLASSIFIER, interpolation="nearest"), ["scores"])
    assert (nearest.values["interpolation_mode"], nearest.notes) == ("NEAREST", ())
    (note,) = described(tflite_with_one_output(tiny_tflite), area).notes
    assert note.startswith("MediaPipe Tasks resizes images bilinearly, and this model by area")


NOT_FOR_MODEL_API = {
    "grey": (changed(CLASSIFIER, color="gray"), "grey images"),
    "sigmoid": (changed(CLASSIFIER, score_kind="sigmoid"), "independent scores without another sigmoid"),
    "temperature": (changed(CLASSIFIER, score_calibration=TEMPERATURE), "a temperature"),
    "no names": (replace(CLASSIFIER, labels=()), "classes without names"),
    "an empty name": (replace(CLASSIFIER, labels=("a", " ")), "a class with an empty name"),
    "another head": (changed(DETECTOR, decoder="heatmap"), "outputs of another form than YOLOv8's"),
    "shares": (
        changed(DETECTOR, decoder_settings={**YOLO["decoder_settings"], "box_unit": "share"}),
        "boxes in shares of the image",
    ),
    "no image": (replace(CLASSIFIER, preprocessing=None), "an input other than an image"),
    "a window": (changed(CLASSIFIER, bit_depth=12), "preprocessing by bit_depth"),
}


@pytest.mark.parametrize("case", NOT_FOR_MODEL_API)
def test_model_api_gets_nothing_that_it_would_misread(case: str) -> None:
    description, reason = NOT_FOR_MODEL_API[case]
    made = model_api_description(description, ["o"])
    assert made.values == {}
    assert reason in made.obstacles


def test_model_api_keys_are_in_openvino_and_onnx_files(tiny_ir: Artifact, tiny_onnx: Artifact) -> None:
    """Of networks with one output."""
    for artifact in (tiny_ir, tiny_onnx):
        graph = backend_of(artifact).editable_graph(artifact)
        graph.set_outputs({"scores": graph.output("scores")})
        made = described(graph.artifact())
        assert made.notes == ()
        if artifact.format == "openvino":
            assert b'<model_info><model_type value="Classification"' in made.artifact.content
            continue
        from edgevision.system.onnx_file import properties

        found = dict(properties(made.artifact.content))
        assert found["model_info model_type"] == "Classification"
        assert found["model_info labels"].split()[0] == "red_apple"
        onnx = pytest.importorskip("onnx")
        onnx.checker.check_model(onnx.load_from_string(made.artifact.content), full_check=True)


def test_no_note_names_an_export_that_refuses_the_task(tiny_ir: Artifact, tiny_tflite: Artifact) -> None:
    depth = replace(CLASSIFIER, task={"name": "depth", "output": "scores"}, labels=())
    for artifact, form in ((tiny_ir, "openvino-model-api"), (tiny_tflite, "mediapipe")):
        assert f"run edgevision export --for {form}" in str(described(artifact, DETECTOR).notes)
        (note,) = described(artifact, depth).notes
        assert "cannot say" in note
        assert "edgevision export" not in note


def test_ultralytics_keys_are_written_for_networks_of_its_form_alone() -> None:
    made = ultralytics_description(DETECTOR, ["o"], "pixels", "nhwc")
    assert made is not None
    assert made.values["task"] == "detect"
    assert made.values["imgsz"] == "[8, 8]"
    assert json.loads(made.values["names"].replace("'", '"').replace("{0", '{"0"').split(",")[0] + "}") == {
        "0": "red apple"
    }
    assert ultralytics_description(CLASSIFIER, ["scores"], "pixels", "nhwc") is None
    for fields, reason in (
        ({"resize": "stretch"}, "resizing by stretch"),
        ({"pad_value": 0}, "resizing by letterbox with padding of 0"),
        ({"color": "bgr"}, "bgr images"),
        ({"mean": [0.5]}, "values other than 0…1"),
        ({"layout": "nchw"}, "an input with channels first"),
    ):
        other = ultralytics_description(changed(DETECTOR, **fields), ["o"], "pixels", "nhwc")
        assert other is not None
        assert other.obstacles == (reason,)
    share = ultralytics_description(DETECTOR, ["o"], "share", "nhwc")
    assert share is not None
    assert share.obstacles == ("boxes in pixels",)
