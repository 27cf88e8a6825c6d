"""Arguments may be numpy's numbers; results hold Python's and can be written as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.preprocess import Preprocessing
from edgevision.loading.bare import BareModel
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.classify import Classification, Classifier
from edgevision.tasks.decoders.anchors import AnchorGrid
from edgevision.tasks.description import DetectTask, GenerateTask
from edgevision.tasks.detections import Detections
from edgevision.tasks.generation.diffusion import DiffusionGenerator
from edgevision.tasks.generation.geometry import Geometry
from edgevision.tasks.generation.images import GeneratedImages
from edgevision.tasks.generation.latent import LatentGenerator
from edgevision.tasks.generation_settings import (
    Condition,
    DiffusionSettings,
    ImageToImageSettings,
    LatentSettings,
    NoiseSchedule,
)
from edgevision.tasks.labels import as_labels
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

Schedule = {"kind": "linear", "steps": 10, "beta_start": 0.1, "beta_end": 0.5}
DIFFUSION = {"image_input": "x", "timestep_input": "t", "timestep": "index", "prediction": "epsilon"}

#: A settings class, fields as Python has them, and the same as numpy has them.
SETTINGS: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (
        Preprocessing,
        {
            "size_wh": (4, 5),
            "value_range": (0.0, 1.0),
            "mean": (1.0, 2.0, 3.0),
            "scale": (0.5,),
            "pad_value": 114,
        },
        {
            "size_wh": np.array([4, 5]),
            "value_range": [np.float32(0), np.float32(1)],
            "mean": np.array([1.0, 2.0, 3.0]),
            "scale": [np.float16(0.5)],
            "pad_value": np.uint8(114),
        },
    ),
    (
        InputOptions,
        {"value_range": (0, 1), "mean": (0, 0, 0), "scale": (1, 2, 3.0), "size_wh": (4, 5), "pad_value": 7},
        {
            "value_range": np.array([0, 1]),
            "mean": np.zeros(3, int),
            "scale": [1, 2, np.float32(3)],
            "size_wh": [4, 5],
            "pad_value": np.int64(7),
        },
    ),
    (
        OperatingPoint,
        {"positive": "ill", "class_id": 1, "threshold": 0.5, "metric": "precision", "at_least": 0.75},
        {
            "positive": "ill",
            "class_id": np.int64(1),
            "threshold": np.float32(0.5),
            "metric": "precision",
            "at_least": np.float16(0.75),
        },
    ),
    (ScoreCalibration, {"temperature": 1.5}, {"temperature": np.float32(1.5)}),
    (
        DetectTask,
        {
            "decoder": "ssd",
            "decoder_settings": {"anchors": [[0.5, 0.5, 1.0, 1.0]], "scale_xy": 10.0, "flag": True},
            "score_threshold": 0.5,
            "iou_threshold": 0.25,
            "max_detections": 3,
        },
        {
            "decoder": "ssd",
            "decoder_settings": {
                "anchors": np.array([[0.5, 0.5, 1, 1]], np.float32),
                "scale_xy": np.float32(10),
                "flag": np.True_,
            },
            "score_threshold": np.float32(0.5),
            "iou_threshold": np.float64(0.25),
            "max_detections": np.int32(3),
        },
    ),
    (
        GenerateTask,
        {
            "kind": "image-to-image",
            "output": "y",
            "output_range": (-1, 1),
            "color": "rgb",
            "settings": {"overlap": 4},
        },
        {
            "kind": "image-to-image",
            "output": "y",
            "output_range": np.array([-1, 1], np.float32),
            "color": "rgb",
            "settings": {"overlap": np.int64(4)},
        },
    ),
    (ImageToImageSettings, {"overlap": 4}, {"overlap": np.uint16(4)}),
    (
        Condition,
        {"input": "c", "kind": "class-id", "classes": 10, "null_class": 10},
        {"input": "c", "kind": "class-id", "classes": np.int64(10), "null_class": np.int8(10)},
    ),
    (
        NoiseSchedule,
        {"kind": "betas", "values": (0.25, 0.5)},
        {"kind": "betas", "values": np.array([0.25, 0.5], np.float32)},
    ),
    (
        NoiseSchedule,
        {"kind": "linear", "steps": 10, "beta_start": 0.125, "beta_end": 0.5},
        {
            "kind": "linear",
            "steps": np.int64(10),
            "beta_start": np.float32(0.125),
            "beta_end": np.float16(0.5),
        },
    ),
    (
        DiffusionSettings,
        {**DIFFUSION, "schedule": Schedule, "clip": False, "steps": 5, "guidance": 1.0},
        {
            **DIFFUSION,
            "schedule": {**Schedule, "steps": np.int64(10)},
            "clip": np.False_,
            "steps": np.int64(5),
            "guidance": np.float32(1),
        },
    ),
    (
        Geometry,
        {"crop_xywh": (1, 2, 3, 4), "rotate_degrees": 90},
        {"crop_xywh": np.array([1, 2, 3, 4]), "rotate_degrees": np.int64(90)},
    ),
    (
        AnchorGrid,
        {"strides": (8, 16), "min_scale": 0.25, "max_scale": 0.5, "aspect_ratios": (1.0, 2.0)},
        {
            "strides": np.array([8, 16]),
            "min_scale": np.float32(0.25),
            "max_scale": np.float16(0.5),
            "aspect_ratios": [1.0, np.float32(2)],
        },
    ),
]


@pytest.mark.parametrize(("kind", "python", "numpy"), SETTINGS, ids=[kind.__name__ for kind, *_ in SETTINGS])
def test_settings_are_the_same_from_numpys_numbers(
    kind: Any, python: dict[str, Any], numpy: dict[str, Any]
) -> None:
    settings = kind(**numpy)
    assert settings == kind(**python)
    assert json.dumps(asdict(settings)) == json.dumps(asdict(kind(**python)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Preprocessing((True, 5), (0, 1)),
        lambda: Preprocessing((4, 5), (False, True)),
        lambda: Preprocessing((4, 5), (0, 1), pad_value=True),
        lambda: Preprocessing((4, 5), (0, 1), mean=np.zeros((3, 1))),  # type: ignore[arg-type]
        lambda: OperatingPoint("ill", True, 0.5, "precision", 0.5),
        lambda: OperatingPoint("ill", 1, True, "precision", 0.5),
        lambda: ScoreCalibration(True),
        lambda: DetectTask("ssd", score_threshold=np.True_),  # type: ignore[arg-type]
        lambda: DetectTask("ssd", max_detections=True),
        lambda: ImageToImageSettings(overlap=True),
        lambda: Geometry(rotate_degrees=False),
        lambda: AnchorGrid(strides=(True,)),
        lambda: Classification(np.ones(3, np.float32), ("a", "b", "c")).top(True),
        lambda: Classification(np.ones(3, np.float32), ("a", "b", "c")).top(2.0),  # type: ignore[arg-type]
        lambda: Classification(np.ones(3, np.float32), ("a", "b", "c")).above(True),
        lambda: Classification(np.ones(3, np.float32), ("a", "b", "c")).above(50),
    ],
)
def test_bools_and_other_kinds_are_not_numbers(make: Any) -> None:
    with pytest.raises(OptionError, match="expected"):
        make()


def test_a_classification_takes_numpys_numbers_and_gives_pythons() -> None:
    point = OperatingPoint("b", np.int64(1), np.float32(0.5), "precision", 0.5)  # type: ignore[arg-type]
    result = Classification(np.array([0.25, 0.75, 0.5], np.float32), ("a", "b", "c"), operating_point=point)
    assert result.top(np.int64(2)) == result.top(2)
    assert result.top(np.uint8(2)) == result.top(2)
    assert result.above(np.float32(0.5)) == result.above(0.5) == result.top(2)
    assert json.dumps(result.to_dict(np.int64(1))) == json.dumps(result.to_dict(1))


def test_detections_take_numpys_numbers_and_give_pythons() -> None:
    backend = FakeBackend(answers={"rows": [[0, 0, 9, 9, 0.75, 0], [2, 2, 8, 8, 0.5, 1]]})
    image, rows = (
        TensorSpec("image", (None, 20, 40, 3), "float32"),
        TensorSpec("rows", (None, 2, 6), "float32"),
    )
    session = open_session(backend, backend.artifact([image], [rows]))
    task = DetectTask("yolo-end2end", {"output": "rows", "box_unit": np.str_("pixels")})
    decoder = registry().decoder("yolo-end2end")
    from edgevision.tasks.detect import Detector

    model = Detector(session, Preprocessing((40, 20), (0, 255)), np.array(["cell", "dust"]), task, decoder)  # type: ignore[arg-type]
    frame = np.zeros((20, 40, 3), np.uint8)
    result = model(
        frame, score_threshold=np.float32(0.5), iou_threshold=np.float16(1), max_detections=np.uint8(1)
    )
    assert json.dumps(result.to_dict()) == json.dumps(model(frame)[:1].to_dict())
    assert json.dumps(result.to_coco(np.int64(7))) == json.dumps(result.to_coco(7))
    assert [type(name) for name in (*model.labels, *result.labels)] == [str, str, str]
    with pytest.raises(OptionError, match=r"score_threshold: expected 0 to 1, got True"):
        model(frame, score_threshold=True)


def _latent() -> LatentGenerator:
    backend = FakeBackend()
    vector, images = TensorSpec("z", (None, 8), "float32"), TensorSpec("y", (None, 4, 4, 3), "float32")
    label = TensorSpec("c", (None,), "int32")
    session = open_session(backend, backend.artifact([vector, label], [images]))
    settings = LatentSettings("z", condition=Condition("c", "class-id", 3))
    return LatentGenerator(session, GenerateTask("latent", "y", (0, 100), "rgb", settings), ["a", "b", "c"])


def test_a_latent_generator_takes_numpys_numbers_and_gives_pythons() -> None:
    model = _latent()
    expected = model.sample(2, 5, [1, 2])
    for condition in ([np.int64(1), np.int32(2)], np.array([1, 2]), ("b", "c"), np.array(["b", "c"])):
        result = model.sample(np.int8(2), np.uint8(5), condition)
        np.testing.assert_array_equal(result.images, expected.images)
        assert json.dumps([result.seeds, result.settings]) == json.dumps([expected.seeds, expected.settings])
    between = model.interpolate(np.int64(1), np.uint8(2), np.int64(3), np.int64(1))
    assert json.dumps(between.settings) == json.dumps(model.interpolate(1, 2, 3, 1).settings)
    for condition in (True, [True, False], np.array([True, False]), 1.5, np.array([0.5, 1.5])):
        with pytest.raises(OptionError, match="condition"):
            model.sample(2, 5, condition)
    with pytest.raises(OptionError, match="count of images: expected 1 or more, up to 10000, got True"):
        model.sample(True)
    with pytest.raises(OptionError, match=r"seed: expected a whole number"):
        model.sample(1, 1.0)  # type: ignore[arg-type]


def test_a_diffusion_generator_takes_numpys_numbers_and_gives_pythons() -> None:
    backend = FakeBackend()
    image, label = TensorSpec("x", (None, 4, 4, 3), "float32"), TensorSpec("c", (None,), "int32")
    time = TensorSpec("t", (None,), "float32")
    session = open_session(
        backend, backend.artifact([image, time, label], [TensorSpec("y", (None, 4, 4, 3), "float32")])
    )
    condition = {"input": "c", "kind": "class-id", "classes": 3, "null_class": 3}
    settings = {**DIFFUSION, "schedule": Schedule, "condition": condition, "steps": 4}
    model = DiffusionGenerator(session, GenerateTask("diffusion", "y", (-1, 1), "rgb", settings))  # type: ignore[arg-type]
    expected = model.sample(2, 7, 1, steps=3, guidance=2.5)
    result = model.sample(
        np.int64(2),
        np.int64(7),
        np.int64(1),
        steps=np.uint8(3),
        guidance=np.float32(2.5),
        sampler=np.str_("ddim"),
    )
    np.testing.assert_array_equal(result.images, expected.images)
    assert json.dumps(result.settings) == json.dumps(expected.settings)
    for wrong in ({"steps": True}, {"steps": 2.5}, {"guidance": True}, {"guidance": np.nan}):
        with pytest.raises(OptionError, match=f"{next(iter(wrong))}: expected"):
            model.sample(1, 7, 1, **wrong)  # type: ignore[arg-type]


def test_a_grid_takes_numpys_numbers() -> None:
    images = GeneratedImages(np.zeros((3, 4, 4, 3), np.uint8))
    np.testing.assert_array_equal(images.grid(np.uint8(2), np.int64(1)), images.grid(2, 1))
    for columns, gap in ((0, 1), (True, 1), (1, -1), (1.5, 1)):
        with pytest.raises(OptionError, match="grid"):
            images.grid(columns, gap)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "labels", [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object)]
)
def test_labels_come_as_list_tuple_or_array(labels: Any) -> None:
    assert as_labels(labels) == ("a", "b")
    assert [type(name) for name in as_labels(labels)] == [str, str]


@pytest.mark.parametrize("labels", ["ab", b"ab", {"a", "b"}, {0: "a", 1: "b"}, [1, 2], np.arange(2), None, 2])
def test_labels_that_are_no_sequence_of_names_are_refused(labels: Any) -> None:
    backend = FakeBackend()
    image, scores = TensorSpec("image", (None, 4, 4, 3), "float32"), TensorSpec("s", (None, 2), "float32")
    session = open_session(backend, backend.artifact([image], [scores]))
    with pytest.raises(
        OptionError, match="labels: expected a list of class names, in the network's order, got"
    ):
        Classifier(session, Preprocessing((4, 4), (0, 255)), labels, "softmax")
    if labels is not None and not isinstance(labels, dict):  # a dictionary states ids and names there
        with pytest.raises(OptionError, match="expected a list of class names|cannot be read as a list"):
            BareModel(labels=labels)


def test_an_image_is_chosen_by_numpys_numbers() -> None:
    found = Detections(np.zeros((2, 4), np.float32), np.array([0.5, 0.25], np.float32), np.array([0, 1]))
    assert found[np.int64(1)].class_id == 1
    assert GeneratedImages(np.arange(2, dtype=np.uint8).reshape(2, 1, 1, 1))[np.int64(1)] == 1
