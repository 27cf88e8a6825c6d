"""What OpenVINO IRs say of themselves, row by row: obeyed, or refused with the option that overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from described_networks import (
    BLUE,
    RED,
    as_properties,
    as_yaml,
    grid_rows,
    onnx_classifier,
    onnx_detector,
    openvino_ir,
    ultralytics,
)

import edgevision
from edgevision import BareModel, InputOptions
from edgevision.errors import ArtifactError, OptionError

BOX = [16, 16, 8, 4]
LETTERBOXED, STRETCHED = (30.0, 20.0, 50.0, 30.0), (30.0, 21.875, 50.0, 28.125)
#: What Ultralytics' exporter writes into rt_info, whatever the task.
OF_ULTRALYTICS = {
    "model_type": "YOLO",
    "reverse_input_channels": True,
    "pad_value": 114,
    "scale_values": [255.0],
    "iou_threshold": 0.7,
    "labels": ["person", "road_sign", "car"],
}
LETTERBOX = {"resize_type": "fit_to_window_letterbox"}
CLASSIFIER = {"model_type": "Classification", "labels": "red green blue", "scale_values": "255"}
DETECTION_OUTPUT = np.array(
    [[[[0, 1, 0.9, 0.25, 0.25, 0.5, 0.5], [0, 2, 0.3, 0, 0, 1, 1], [-1, 1, 0.8, 0, 0, 1, 1], [0] * 7]]],
    np.float32,
)


def found(model: Any) -> list[tuple[str, tuple[float, ...]]]:
    return [(one.label, tuple(round(value, 3) for value in one.box)) for one in model(RED)]


@pytest.mark.parametrize(
    ("rows", "info", "stated", "section", "expected"),
    [
        (grid_rows(3, BOX, 1), OF_ULTRALYTICS | LETTERBOX, ultralytics(), "model_info", "road sign"),
        (grid_rows(3, BOX, 1), OF_ULTRALYTICS | LETTERBOX, None, "model_info", "road_sign"),
        (grid_rows(3, BOX, 1), {}, ultralytics(), "model_info", "road sign"),
        (grid_rows(3, BOX, 1), as_properties(ultralytics()), None, "framework", "road sign"),
        (
            np.array([[[12, 14, 20, 18, 0.9, 1], [0] * 6]], np.float32),
            OF_ULTRALYTICS | LETTERBOX,
            ultralytics(end2end=True),
            "model_info",
            "road sign",
        ),
        (
            np.array([[[12, 14, 20, 18, 0.9, 1], [0] * 6]], np.float32),
            OF_ULTRALYTICS | LETTERBOX,
            None,
            "model_info",
            "road_sign",
        ),
    ],
)
def test_an_ultralytics_detector_runs_without_an_option(
    tmp_path: Path, rows: Any, info: Any, stated: Any, section: str, expected: str
) -> None:
    sidecar = None if stated is None else as_yaml(stated)
    path = openvino_ir(tmp_path, onnx_detector(rows), info, sidecar, section)
    with edgevision.load(path) as model:
        assert found(model) == [(expected, LETTERBOXED)]
        assert (model.preprocessing.pad_value, model.preprocessing.color) == (114, "rgb")


@pytest.mark.parametrize("stated", [ultralytics(task="classify"), None])
@pytest.mark.parametrize("sizes", [(1, 3, 32, 32), ("b", 3, "h", "w")])
def test_an_ultralytics_classifier_runs_without_an_option(tmp_path: Path, stated: Any, sizes: Any) -> None:
    sidecar = None if stated is None else as_yaml(stated)
    path = openvino_ir(tmp_path, onnx_classifier(sizes=sizes), OF_ULTRALYTICS, sidecar)
    size = InputOptions(size_wh=(32, 32)) if stated is None and "h" in sizes else InputOptions()
    with edgevision.load(path, bare=BareModel(size)) as model:
        assert [model(image).top()[0].label for image in (RED, BLUE)] == ["person", "car"]
        assert model.preprocessing.resize == "center-crop"


@pytest.mark.parametrize("task", ["pose", "segment", "obb"])
def test_another_task_is_refused_by_that_word(tmp_path: Path, task: str) -> None:
    rows, sidecar = grid_rows(3, BOX, 1, extra=51), as_yaml(ultralytics(task=task))
    path = openvino_ir(tmp_path, onnx_detector(rows), OF_ULTRALYTICS | LETTERBOX, sidecar)
    with pytest.raises(OptionError, match=f"for the task '{task}'"):
        edgevision.load(path)
    path.with_name(
        "metadata.yaml"
    ).unlink()  # the other source does not say the task: the count of values does
    with pytest.raises(OptionError, match=r"3 classes|3 labels"):
        edgevision.load(path)


@pytest.mark.parametrize("kind", ["Segmentation", "keypoint_detection", "MaskRCNN", "AnomalyDetection"])
def test_a_wrapper_of_another_task_is_refused_by_its_name(tmp_path: Path, kind: str) -> None:
    path = openvino_ir(tmp_path, onnx_classifier(), CLASSIFIER | {"model_type": kind})
    for bare in (BareModel(), BareModel(score_kind="softmax")):
        with pytest.raises(OptionError, match=f"for the task '{kind}'"):
            edgevision.load(path, bare=bare)


def test_yolox_is_decoded_from_its_grid_and_padded_at_the_right_and_below(tmp_path: Path) -> None:
    rows = np.zeros((1, 21, 8), np.float32)
    # Cell (1, 1) of stride 16: centre (1.5, 1.25) * 16, size (1, 0.5) * 16.
    rows[0, 16 + 3] = [0.5, 0.25, 0.0, np.log(0.5), 0.9, 0, 1, 0]
    info = {"model_type": "YOLOX", "labels": "person road_sign car"}
    with edgevision.load(openvino_ir(tmp_path, onnx_detector(rows), info)) as model:
        assert (model.preprocessing.resize, model.preprocessing.pad_value) == ("corner-letterbox", 114)
        assert (model.preprocessing.color, model.preprocessing.value_range) == ("bgr", (0.0, 255.0))
        # Scaled by 0.4, and not moved: (16, 16, 32, 24) of the input, of which the image fills 32 x 20.
        assert found(model) == [("road_sign", (40.0, 40.0, 80.0, 50.0))]
        assert (model.task.score_threshold, model.task.iou_threshold) == (0.5, 0.65)


@pytest.mark.parametrize(
    ("said", "label", "box"),
    [
        ({"model_type": "SSD", "labels": "background cat dog"}, "cat", (20.0, 12.5, 40.0, 25.0)),
        ({"model_type": "ssd", "confidence_threshold": 0.2, "labels": "_ cat dog"}, "cat", None),
        ({}, "class 1", (20.0, 12.5, 40.0, 25.0)),
    ],
)
def test_the_output_of_detection_output_is_decoded_to_its_end(
    tmp_path: Path, said: Any, label: str, box: Any
) -> None:
    path = openvino_ir(tmp_path, onnx_detector(DETECTION_OUTPUT), said)
    bare = BareModel(InputOptions(value_range=(0.0, 255.0)))
    with edgevision.load(path, bare=None if said else bare) as model:
        best, *others = found(model)
    assert best[0] == label
    if box is None:
        assert [name for name, _ in others] == ["dog"]
    else:
        assert best[1] == box


@pytest.mark.parametrize("name", ["YOLOv5", "YOLOv8", "yolo11"])
def test_model_apis_yolo_letterboxes_and_divides_by_255_by_default(tmp_path: Path, name: str) -> None:
    info = {"model_type": name, "labels": "person road_sign car"}
    with edgevision.load(openvino_ir(tmp_path, onnx_detector(grid_rows(3, BOX, 1)), info)) as model:
        assert found(model) == [("road_sign", LETTERBOXED)]
        assert (model.preprocessing.scale, model.preprocessing.color) == ((255.0,), "rgb")
        assert (model.task.score_threshold, model.task.iou_threshold) == (0.25, 0.7)


@pytest.mark.parametrize(
    ("said", "check"),
    [
        ({"mean_values": "1 2 3", "scale_values": "4,5,6"}, ("mean", (1.0, 2.0, 3.0))),
        ({"reverse_input_channels": "True"}, ("color", "rgb")),
        ({"reverse_input_channels": False}, ("color", "bgr")),
        ({}, ("color", "rgb")),
        ({}, ("resize", "stretch")),
        ({"resize_type": "standard"}, ("resize", "stretch")),
        ({"resize_type": "fit_to_window_letterbox", "pad_value": 7}, ("pad_value", 7)),
        ({"resize_type": "crop"}, ("resize", "center-crop")),
        ({"resize_type": "fit_to_window"}, ("resize", "corner-letterbox")),
        ({"interpolation_mode": "NEAREST"}, ("interpolation", "nearest")),
        ({"topk": 3, "output_raw_scores": True, "optimization_config": "{}"}, ("scale", (255.0,))),
        ({"intensity_mode": "none", "input_dtype": "u8"}, ("scale", (255.0,))),
        ({"scale_values": "None"}, ("scale", (1.0,))),
        ({"intensity_mode": "scale_to_unit"}, ("value_range", (0.0, 1.0))),
        ({"intensity_mode": "scale_to_unit", "intensity_max_value": 510}, ("value_range", (0.0, 0.5))),
    ],
)
def test_what_model_api_obeys_is_obeyed(tmp_path: Path, said: Any, check: tuple[str, Any]) -> None:
    path = openvino_ir(tmp_path, onnx_classifier(), CLASSIFIER | said)
    with edgevision.load(path) as model:
        assert getattr(model.preprocessing, check[0]) == check[1]
        assert model.labels == ("red", "green", "blue")


RANGE = BareModel(InputOptions(value_range=(0.0, 1.0)))
LABELLED = BareModel(labels=["a", "b", "c"])


@pytest.mark.parametrize(
    ("said", "override", "message"),
    [
        ({"model_type": "YOLOV4"}, BareModel(score_kind="softmax"), "model_type 'YOLOV4'.*--scores"),
        (
            {"model_type": "Classificaton"},
            BareModel(score_kind="softmax"),
            "supported are Classification, SSD",
        ),
        ({"resize_type": "fold"}, BareModel(InputOptions(resize="stretch")), "'fold'.*--resize stretch"),
        ({"interpolation_mode": "CUBIC"}, BareModel(InputOptions(interpolation="area")), "--interpolation"),
        ({"mean_values": "1 2"}, RANGE, "mean_values '1 2'.*--input-range"),
        ({"mean_values": "a b c"}, RANGE, "--input-range"),
        ({"scale_values": "0"}, RANGE, "scale_values '0'"),
        ({"reverse_input_channels": "perhaps"}, BareModel(InputOptions(color="rgb")), "--color"),
        ({"pad_value": 300}, BareModel(InputOptions(resize="letterbox")), "pad_value '300'"),
        ({"embedded_processing": True}, RANGE, "embedded_processing"),
        ({"intensity_mode": "window"}, RANGE, "intensity_mode 'window'.*supported: none, scale_to_unit"),
        ({"input_dtype": "u16"}, RANGE, "input_dtype 'u16'"),
        ({"multilabel": True}, BareModel(score_kind="softmax"), "multilabel.*--scores"),
        ({"hierarchical": True}, BareModel(score_kind="softmax"), "hierarchical"),
        ({"path_to_labels": "/home/me/labels.txt"}, LABELLED, "path_to_labels.*--labels"),
    ],
)
def test_what_is_not_understood_is_refused_and_overridden_by_its_option(
    tmp_path: Path, said: Any, override: BareModel, message: str
) -> None:
    path = openvino_ir(tmp_path, onnx_classifier(), {**CLASSIFIER, **said})
    with pytest.raises(OptionError, match=message):
        edgevision.load(path)
    with edgevision.load(path, bare=override) as model:
        assert len(model(RED).scores) == 3


def test_model_api_names_the_first_class_where_one_label_is_missing(tmp_path: Path) -> None:
    path = openvino_ir(tmp_path, onnx_classifier(), CLASSIFIER | {"labels": "red green"})
    with edgevision.load(path) as model:
        assert model.labels == ("other", "red", "green")
    path = openvino_ir(tmp_path, onnx_classifier(), CLASSIFIER | {"labels": "red"})
    with pytest.raises(OptionError, match="1 label"):
        edgevision.load(path)


def test_outputs_for_explanations_are_no_scores(tmp_path: Path) -> None:
    import onnx

    net = onnx.load_from_string(onnx_classifier())
    net.graph.node.append(onnx.helper.make_node("Relu", ["mean"], ["feature_vector"]))
    net.graph.output.append(onnx.helper.make_tensor_value_info("feature_vector", 1, [1, 3]))
    path = openvino_ir(tmp_path, net.SerializeToString(), CLASSIFIER)
    with edgevision.load(path) as model:
        assert (model.output, model.score_kind, model(RED).top()[0].label) == ("output0", "softmax", "red")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"agnostic_nms": True}, "agnostic_nms.*--decoder"),
        ({"confidence_threshold": 1.5}, r"confidence_threshold '1\.5'.*--decoder"),
        ({"iou_threshold": "high"}, "iou_threshold 'high'"),
    ],
)
def test_thresholds_that_cannot_be_obeyed_are_refused(tmp_path: Path, said: Any, message: str) -> None:
    info = {"model_type": "YOLOv8", "labels": "a b c", **said}
    path = openvino_ir(tmp_path, onnx_detector(grid_rows(3, BOX, 1)), info)
    with pytest.raises(OptionError, match=message):
        edgevision.load(path)
    with edgevision.load(path, bare=BareModel(decoder="yolo")) as model:
        assert found(model) == [("b", LETTERBOXED)]


@pytest.mark.parametrize(
    ("info", "stated", "message"),
    [
        (
            OF_ULTRALYTICS | LETTERBOX | {"labels": "person car sign"},
            ultralytics(),
            r"labels .*rt_info/model_info",
        ),
        (OF_ULTRALYTICS | LETTERBOX | {"pad_value": 0}, ultralytics(), "pad_value 114.*pad_value 0"),
        (OF_ULTRALYTICS | LETTERBOX | {"scale_values": 1}, ultralytics(), "value_range.*--input-range"),
        (CLASSIFIER, ultralytics(), "model_type 'Classification'.*Ultralytics"),
    ],
)
def test_sources_that_contradict_each_other_are_refused(
    tmp_path: Path, info: Any, stated: Any, message: str
) -> None:
    path = openvino_ir(tmp_path, onnx_detector(grid_rows(3, BOX, 1)), info, as_yaml(stated))
    with pytest.raises(OptionError, match=message):
        edgevision.load(path)


def test_a_yaml_that_is_another_models_or_nobodys_is_refused_or_left_alone(tmp_path: Path) -> None:
    path = openvino_ir(tmp_path, onnx_classifier(), CLASSIFIER, "title: my project\nauthors:\n- me\n")
    with edgevision.load(path) as model:
        assert model.labels == ("red", "green", "blue")
    path.with_name("other.xml").write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match=r"metadata\.yaml: belongs to one of several models"):
        edgevision.load(path)
    path.with_name("other.xml").unlink()
    path.with_name("metadata.yaml").write_text("names: &anchor [a]\n")
    with pytest.raises(ArtifactError, match=r"metadata\.yaml, beside the model: cannot be read: line 1"):
        edgevision.load(path)


def test_a_document_type_in_an_ir_is_refused(tmp_path: Path) -> None:
    path = openvino_ir(tmp_path, onnx_classifier(), CLASSIFIER)
    content = path.read_bytes()
    path.write_bytes(b'<!DOCTYPE n [<!ENTITY a "aaaaaaaaaa">]>' + content.split(b"?>", 1)[-1])
    with pytest.raises(ArtifactError, match="document type"):
        edgevision.load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match="not a valid OpenVINO IR"):
        edgevision.load(path)
