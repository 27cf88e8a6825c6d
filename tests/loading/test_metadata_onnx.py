"""What ONNX files say of themselves, row by row: obeyed, or refused with the option that overrides it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from described_networks import (
    BLUE,
    RED,
    as_properties,
    grid_rows,
    onnx_classifier,
    onnx_detector,
    ultralytics,
)

import edgevision
from edgevision import BareModel, InputOptions
from edgevision.errors import ArtifactError, OptionError

BOX = [16, 16, 8, 4]
#: BOX in an image of 80x50 that was letterboxed, stretched or not moved at all.
LETTERBOXED, STRETCHED = (30.0, 20.0, 50.0, 30.0), (30.0, 21.875, 50.0, 28.125)
END2END = np.array([[[12, 14, 20, 18, 0.9, 1], [0] * 6, [0] * 6]], np.float32)
RUNTIMES = ("onnx", "openvino")


def model_api(**entries: str) -> dict[str, str]:
    return {f"model_info {name}": text for name, text in entries.items()}


def opened(folder: Path, content: bytes, backend: str = "onnx", **options: Any) -> Any:
    path = folder / "model.onnx"
    path.write_bytes(content)
    return edgevision.load(path, backend, **options)


def found(model: Any) -> list[tuple[str, tuple[float, ...]]]:
    with model:
        return [(one.label, tuple(round(value, 3) for value in one.box)) for one in model(RED)]


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    ("said", "rows", "sizes", "expected"),
    [
        ({}, grid_rows(3, BOX, 1), (1, 3, 32, 32), ("road sign", LETTERBOXED)),
        ({"names": "['a', 'b', 'c']"}, grid_rows(3, BOX, 1), (1, 3, 32, 32), ("b", LETTERBOXED)),
        ({"names": '{"0": "a", "1": "b"}'}, grid_rows(2, BOX, 1), (1, 3, 32, 32), ("b", LETTERBOXED)),
        ({"names": {0: "it's", 1: 'a "b"'}}, grid_rows(2, BOX, 1), (1, 3, 32, 32), ('a "b"', LETTERBOXED)),
        ({"names": {0: "猫", 1: "Straße"}}, grid_rows(2, BOX, 1), (1, 3, 32, 32), ("Straße", LETTERBOXED)),
        ({"names": {0: "a", 2: "c"}}, grid_rows(3, BOX, 1), (1, 3, 32, 32), ("class 1", LETTERBOXED)),
        ({"imgsz": 32}, grid_rows(3, BOX, 1), (1, 3, "h", "w"), ("road sign", LETTERBOXED)),
        ({}, grid_rows(3, BOX, 1), ("batch", 3, "height", "width"), ("road sign", LETTERBOXED)),
        ({}, grid_rows(3, BOX, 1), (1, 3, None, None), ("road sign", LETTERBOXED)),
        ({"end2end": True}, END2END, (1, 3, 32, 32), ("road sign", LETTERBOXED)),
        ({"args": {"nms": True}}, END2END, (1, 3, 32, 32), ("road sign", LETTERBOXED)),
        ({}, END2END, (1, 3, 32, 32), ("road sign", LETTERBOXED)),
        ({"names": {0: "a", 1: "b"}}, END2END, (1, 3, 32, 32), ("b", LETTERBOXED)),
    ],
)
def test_an_ultralytics_detector_runs_without_an_option(
    tmp_path: Path, backend: str, said: Any, rows: Any, sizes: Any, expected: tuple[str, Any]
) -> None:
    content = onnx_detector(rows, as_properties(ultralytics(**said)), sizes=sizes)
    with opened(tmp_path, content, backend) as model:
        assert found(model) == [expected]
        preprocessing = model.preprocessing
    assert (preprocessing.resize, preprocessing.pad_value) == ("letterbox", 114)
    assert (preprocessing.value_range, preprocessing.color) == ((0.0, 1.0), "rgb")


def test_a_size_that_is_not_square_is_height_then_width(tmp_path: Path) -> None:
    rows = np.zeros((1, 7, 10), np.float32)
    content = onnx_detector(rows, as_properties(ultralytics(imgsz=[32, 64])), sizes=(1, 3, "h", "w"))
    assert opened(tmp_path, content).preprocessing.size_wh == (64, 32)


def test_thresholds_are_those_of_ultralytics(tmp_path: Path) -> None:
    task = opened(tmp_path, onnx_detector(grid_rows(3, BOX, 1), as_properties(ultralytics()))).task
    assert (task.score_threshold, task.iou_threshold, task.max_detections) == (0.25, 0.7, 300)


@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        (np.zeros((1, 63, 8), np.float32), 3),  # with anchors: three boxes per cell, and objectness
        (np.zeros((1, 63, 6), np.float32), 1),
        (np.zeros((1, 7, 21), np.float32), 3),
    ],
)
def test_yolov5_says_no_task_and_the_values_per_box_tell_of_objectness(
    tmp_path: Path, rows: Any, classes: int
) -> None:
    transposed = rows.shape[2] == 21
    rows = rows.transpose(0, 2, 1) if transposed else rows
    rows[0, 5, :4] = BOX
    rows[0, 5, 4:] = 0.95
    rows = rows.transpose(0, 2, 1) if transposed else rows
    names = str([f"name {number}" for number in range(classes)])
    content = onnx_detector(np.ascontiguousarray(rows), {"stride": "32", "names": names})
    assert found(opened(tmp_path, content)) == [("name 0", LETTERBOXED)]


def test_a_classifier_of_yolov5_does_not_inherit_the_values_of_its_detectors(tmp_path: Path) -> None:
    content = onnx_classifier({"stride": "32", "names": "{0: 'a', 1: 'b', 2: 'c'}"})
    with pytest.raises(OptionError, match="it is a detector for 3 classes"):
        opened(tmp_path, content)
    with pytest.raises(OptionError, match="--input-range"):  # it normalizes by ImageNet's mean and scale
        opened(tmp_path, content, bare=BareModel(score_kind="softmax"))


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("sizes", [(1, 3, 32, 32), ("batch", 3, "height", "width")])
def test_an_ultralytics_classifier_runs_without_an_option(tmp_path: Path, backend: str, sizes: Any) -> None:
    content = onnx_classifier(as_properties(ultralytics(task="classify")), sizes=sizes)
    with opened(tmp_path, content, backend) as model:
        assert [model(image).top()[0].label for image in (RED, BLUE)] == ["person", "car"]
        assert (model.preprocessing.resize, model.preprocessing.value_range) == ("center-crop", (0.0, 1.0))


@pytest.mark.parametrize("task", ["pose", "segment", "obb", "semantic", "depth"])
@pytest.mark.parametrize(
    "bare",
    [
        BareModel(),
        BareModel(InputOptions(value_range=(0.0, 1.0)), decoder_settings={"box_unit": "pixels"}),
        BareModel(decoder="yolo", labels=["a"] * 54),
        BareModel(score_kind="softmax"),
    ],
)
def test_a_model_of_another_task_is_refused_by_that_word(tmp_path: Path, task: str, bare: BareModel) -> None:
    content = onnx_detector(grid_rows(3, BOX, 1, extra=51), as_properties(ultralytics(task=task)))
    with pytest.raises(OptionError, match=rf"model\.onnx: .* for the task '{task}'"):
        opened(tmp_path, content, bare=bare)


@pytest.mark.parametrize(
    "said",
    [
        {"task": "pose"},
        {"task": "pose", "author": "Ultralytics"},
        {"names": "{0: 'person'}", "stride": "32", "kpt_shape": "[17, 3]"},
    ],
)
def test_a_task_alone_is_obeyed(tmp_path: Path, said: dict[str, str]) -> None:
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)), labels=["a"], decoder="yolo")
    with pytest.raises(OptionError, match="task 'pose'"):
        opened(tmp_path, onnx_detector(grid_rows(1, BOX, 0, extra=51), said), bare=bare)


@pytest.mark.parametrize("shape", [(1, 300, 7), (1, 8, 21), (1, 21, 7)])
def test_outputs_of_another_head_than_the_metadata_says_are_refused(tmp_path: Path, shape: Any) -> None:
    content = onnx_detector(np.zeros(shape, np.float32), as_properties(ultralytics()))
    with pytest.raises(OptionError, match=r"detector for 3 classes|3 labels"):
        opened(tmp_path, content)


def test_keypoints_that_nothing_declares_are_not_read_as_classes(tmp_path: Path) -> None:
    content = onnx_detector(grid_rows(2, BOX, 1, extra=51), as_properties(ultralytics(names=["a", "b"])))
    with pytest.raises(OptionError, match=r"detector for 2 classes .* '\w+' \(57, 21\)|2 labels for .* 53"):
        opened(tmp_path, content)


@pytest.mark.parametrize(
    ("said", "override", "message"),
    [
        ({"imgsz": [32, 60000]}, BareModel(InputOptions(size_wh=(32, 32))), "up to 8192.* pass --input-size"),
        ({"names": "{0: 'a', 0.5: 'b'}"}, BareModel(labels=["a", "b", "c"]), "names .* pass --labels"),
        ({"names": "{0: 'a', 999999999: 'b'}"}, BareModel(labels=["a", "b", "c"]), "pass --labels"),
        ({"names": "__import__('os')"}, BareModel(labels=["a", "b", "c"]), "pass --labels"),
        ({"names": "[" * 5000}, BareModel(labels=["a", "b", "c"]), "pass --labels"),
        ({"imgsz": "large"}, BareModel(InputOptions(size_wh=(32, 32))), "imgsz 'large'.* pass --input-size"),
        (
            {"imgsz": [64, 64]},
            BareModel(InputOptions(size_wh=(32, 32))),
            "32x32, but its metadata says 64x64",
        ),
        ({"names": ["a", "b", "c", "d"]}, BareModel(), "4 classes|4 labels"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_overridden_by_its_option(
    tmp_path: Path, said: Any, override: BareModel, message: str
) -> None:
    content = onnx_detector(grid_rows(3, BOX, 1), as_properties(ultralytics(**said)))
    with pytest.raises(OptionError, match=message):
        opened(tmp_path, content)
    if override != BareModel():
        assert len(found(opened(tmp_path, content, bare=override))) == 1


def test_the_callers_options_come_first_field_by_field(tmp_path: Path) -> None:
    content = onnx_detector(grid_rows(3, BOX, 1), as_properties(ultralytics()))
    bare = BareModel(InputOptions(resize="stretch"), labels=["a", "b", "c"])
    with opened(tmp_path, content, bare=bare) as model:
        assert found(model) == [("b", STRETCHED)]
        assert model.preprocessing.value_range == (0.0, 1.0)


@pytest.mark.parametrize("decoder", [None, "yolo"])
def test_a_yolo_without_metadata_is_letterboxed_as_its_family_is(tmp_path: Path, decoder: str | None) -> None:
    image = InputOptions(value_range=(0.0, 1.0))
    settings = {"box_unit": "pixels", "objectness": False}
    bare = BareModel(image, decoder=decoder, decoder_settings=settings)
    with opened(tmp_path, onnx_detector(grid_rows(3, BOX, 1)), bare=bare) as model:
        assert (model.preprocessing.resize, model.preprocessing.pad_value) == ("letterbox", 114)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_classifier_for_model_api_runs_without_an_option(tmp_path: Path, backend: str) -> None:
    said = model_api(
        model_type="Classification",
        labels="red green blue",
        mean_values="127.5 127.5 127.5",
        scale_values="127.5",
        reverse_input_channels="YES",
        resize_type="crop",
    )
    with opened(tmp_path, onnx_classifier(said), backend) as model:
        assert model(RED).top()[0].label == "red"
        assert model.preprocessing.resize == "center-crop"
        assert (model.preprocessing.mean, model.preprocessing.scale) == ((127.5,) * 3, (127.5,))


def test_two_sources_of_metadata_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    said = as_properties(ultralytics(task="classify"))
    same = {**said, **model_api(model_type="Classification", scale_values="255", resize_type="crop")}
    with opened(tmp_path, onnx_classifier(same)) as model:
        assert model(RED).top()[0].label == "person"
    other = {**same, **model_api(scale_values="1")}
    with pytest.raises(OptionError, match=r"value_range \(0\.0, 1\.0\).* model_info says .*--input-range"):
        opened(tmp_path, onnx_classifier(other))
    stated = BareModel(InputOptions(value_range=(0.0, 1.0)))
    with opened(tmp_path, onnx_classifier(other), bare=stated) as model:
        assert model(RED).top()[0].label == "person"


def test_a_network_with_several_softmaxes_or_none_says_no_score_kind(tmp_path: Path) -> None:
    bare = BareModel(InputOptions(value_range=(0.0, 1.0)))
    with pytest.raises(OptionError, match="is linear"):
        opened(tmp_path, onnx_classifier(softmax=False), bare=bare)
    with opened(tmp_path, onnx_classifier(), bare=bare) as model:
        assert model.score_kind == "softmax"


def test_an_open_size_is_fixed_through_every_door(tmp_path: Path) -> None:
    properties = as_properties(ultralytics(task="classify"))
    path = tmp_path / "open.onnx"
    path.write_bytes(onnx_classifier(properties, sizes=("batch", 3, "height", "width")))
    for name, picture in (("person", RED), ("car", BLUE)):
        (tmp_path / "set" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "set" / name / "1.png"), picture[:, :, ::-1])
    evaluation = edgevision.evaluate(path, tmp_path / "set")
    assert evaluation.measures.metrics[0].value == 1.0
    tuning = edgevision.tune(path, backends=["onnx"], threads=[1], batches=[1], seconds=0.05)
    assert [row.status for row in tuning.rows] == ["passed"]
    # A size of the caller's own, where the file says none.
    path.write_bytes(onnx_classifier(sizes=("batch", 3, "height", "width")))
    with pytest.raises(ArtifactError, match="--input-size"):
        edgevision.load(path)
    bare = BareModel(InputOptions(value_range=(0.0, 1.0), size_wh=(48, 16)))
    with edgevision.load(path, bare=bare) as model:
        assert model.session.inputs[0].shape == (None, 3, 16, 48)
        assert model(RED).top()[0].label == "class 0"


class _PoseDecoder:
    """A third party's decoder, which reads the boxes of pose networks."""

    name = "pose-boxes"
    nms_applied = False
    extra_tasks = ("pose",)

    def recognise(self, outputs: Any, input_size_wh: Any) -> dict[str, Any]:
        return {}

    def prepare(self, outputs: Any, input_size_wh: Any, settings: Any) -> Any:
        from edgevision.plugins import registry

        yolo = registry().decoder("yolo")
        whole = {"output": outputs[0].name, "transposed": True, "objectness": False, "box_unit": "pixels"}
        return yolo.prepare(outputs, input_size_wh, whole)


def test_a_decoder_of_a_plugin_may_read_another_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevision.plugins import Registry

    own = Registry.decoder

    def decoder(self: Registry, name: str) -> Any:
        return _PoseDecoder() if name == "pose-boxes" else own(self, name)

    monkeypatch.setattr(Registry, "decoder", decoder)
    names = [f"value {number}" for number in range(54)]
    content = onnx_detector(
        grid_rows(3, BOX, 1, extra=51), as_properties(ultralytics(task="pose", names=names))
    )
    with opened(tmp_path, content, bare=BareModel(decoder="pose-boxes")) as model:
        assert found(model) == [("value 1", LETTERBOXED)]
