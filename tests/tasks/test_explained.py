"""Explanations of classes and of objects, in pixels of the caller's image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision.artifact import read_artifact
from edgevision.errors import NothingFoundError, OptionError
from edgevision.explaining.masks import random_map
from edgevision.explaining.settings import ExplainSettings
from edgevision.imaging.decode import as_frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.classify import Classifier
from edgevision.tasks.detections import Detection
from edgevision.tasks.explanation_check import ExplanationCheck
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend
from edgevision.testing.models import fake_classifier, fake_detector
from tiny_bundles import DATA, write_artifacts

LABELS = ("left", "right")


def _halves(pixels: np.ndarray) -> list[float]:
    """Scores of the brightness of the left and of the right half."""
    middle = pixels.shape[1] // 2
    return [pixels[:, :middle].mean() / 255, pixels[:, middle:].mean() / 255]


def _image(height: int = 60, width: int = 90) -> np.ndarray:
    """Dark, with a bright square in each half, the right one brighter."""
    image = np.full((height, width, 3), 30, np.uint8)
    image[20:40, 10:30] = 180
    image[20:40, 60:80] = 250
    return image


def _in_left(explanation: Any) -> bool:
    return bool(explanation.peak_xy[0] < explanation.map.shape[1] / 2)


def test_each_class_has_a_map_of_its_own() -> None:
    model = fake_classifier(LABELS, _halves, multi_label=True)
    image = _image()
    left, right = model.explain(image, "left"), model.explain(image, 1)
    assert (left.label, left.class_id, right.label, right.class_id) == ("left", 0, "right", 1)
    assert _in_left(left)
    assert not _in_left(right)
    assert left.map.shape == (60, 90)
    assert left.map.dtype == np.float32
    assert left.reliability is not None
    assert left.reliability > 0.9
    assert left.run == {"backend": "fake", "device": "cpu", "precision": "float32"}


def test_the_best_class_is_explained_by_default() -> None:
    explanation = fake_classifier(LABELS, _halves, multi_label=True).explain(_image(), budget=64)
    assert explanation.label == "right"
    assert explanation.score == pytest.approx(_halves(_image())[1], abs=0.02)
    assert explanation.box_xyxy is None
    document = explanation.to_dict()
    assert document["label"] == "right"
    assert document["samples"] == 64
    assert "map" not in document


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "corner-letterbox", "center-crop"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_the_map_lies_where_the_pixels_are_however_the_image_is_resized(resize: str, layout: str) -> None:
    def answers(inputs: Any) -> dict[str, Any]:
        pixels = np.asarray(inputs["image"])
        pixels = pixels.transpose(0, 2, 3, 1) if layout == "nchw" else pixels
        return {"scores": np.array([_halves(one) for one in pixels], np.float32)}

    shape = (None, 3, 48, 48) if layout == "nchw" else (None, 48, 48, 3)
    backend = FakeBackend(answers=answers)
    specs = [TensorSpec("image", shape, "float32")], [TensorSpec("scores", (None, 2), "float32")]
    session = open_session(backend, backend.artifact(*specs))
    how = Preprocessing((48, 48), (0.0, 255.0), resize=resize, layout=layout)
    explanation = Classifier(session, how, LABELS, "sigmoid").explain(_image(), "right")
    x, y = explanation.peak_xy
    assert 52 <= x <= 88
    assert 12 <= y <= 48
    assert explanation.map.shape == (60, 90)
    if resize == "center-crop":
        assert not explanation.map[:, :15].any()
        assert not explanation.map[:, 75:].any()
        assert explanation.map[:, 15:75].any()


def test_an_object_is_explained_by_the_box_that_resembles_it_most() -> None:
    def objects(pixels: np.ndarray) -> list[tuple[str, float, tuple[float, float, float, float]]]:
        left, right = (float(pixels[:, part].max()) / 255 for part in (slice(0, 16), slice(16, 32)))
        return [("cat", left, (2, 8, 14, 24)), ("cat", right, (18, 8, 30, 24))]

    detector = fake_detector(("cat", "dog"), objects, size_wh=(32, 32))
    image = _image()
    found = detector(image)
    by_place = sorted(found, key=lambda one: one.box[0])
    for one, in_left in zip(by_place, (True, False), strict=True):
        explanation = detector.explain(image, one, budget=600)
        assert explanation.box_xyxy == one.box
        assert _in_left(explanation) is in_left
    assert detector.explain(image, budget=64).score == pytest.approx(float(found.scores.max()), abs=0.02)
    assert detector.explain(image, "cat", budget=64).label == "cat"
    with pytest.raises(OptionError, match="no object of class 'dog'"):
        detector.explain(image, "dog")
    with pytest.raises(OptionError, match="did you mean 'cat'"):
        detector.explain(image, "cats")


def test_an_object_of_the_callers_own_is_compared_by_its_box() -> None:
    detector = fake_detector(("cat",), [("cat", 0.8, (2, 8, 14, 24))], size_wh=(32, 32))
    (found,) = detector(_image())
    other = Detection("cat", 0.8, found.box_xyxy + np.float32(40), 0)
    assert detector.explain(_image(), other, budget=16).score == 0, "no box overlaps with it"


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"target": "up"}, OptionError, "no class 'up'"),
        ({"target": 2}, OptionError, "below 2"),
        ({"target": -1}, OptionError, "target"),
        ({"target": 1.5}, OptionError, "target"),
        ({"method": "lime"}, OptionError, "method"),
        ({"budget": 3}, OptionError, "budget"),
        ({"settings": {"seed": 1}}, OptionError, "settings"),
        ({"progress": 3}, OptionError, "progress"),
        ({"color": "yuv"}, OptionError, "color"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        fake_classifier(LABELS, _halves).explain(_image(), **arguments)


def test_curves_tell_a_map_from_another() -> None:
    model = fake_classifier(LABELS, _halves, multi_label=True)
    image = _image()
    good = model.explain(image, "left")
    mirrored = replace(good, map=np.ascontiguousarray(good.map[:, ::-1]))
    own, other = (model.explanation_curves(image, each) for each in (good, mirrored))
    assert own.insertion_area > other.insertion_area
    assert own.deletion_area < other.deletion_area
    with pytest.raises(OptionError, match="pass the image that it explains"):
        model.explanation_curves(_image(30, 90), good)


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_int8.tflite"])
@pytest.mark.parametrize("backend", ["tflite", "openvino"])
def test_a_bundle_explains_on_its_own_runtime(backend: str, name: str, tmp_path: Path) -> None:
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": read_artifact(DATA / name)})
    with edgevision.load_classifier(bundle, backend, selftest="never") as model:
        image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
        explanation = model.explain(image, settings=ExplainSettings(budget=32, cells=4))
        assert explanation.bundle_digest == model.bundle_digest
        assert explanation.score == pytest.approx(model(image).top(1)[0].score, abs=1e-6)


@pytest.mark.parametrize(
    ("box_xyxy", "class_id", "message"),
    [
        (np.array([np.nan, 0, 1, 1], np.float32), 0, "four finite numbers"),
        (np.zeros(3, np.float32), 0, "four finite numbers"),
        (np.array([0, 0, 9, 9], np.float32), 7, "a class id below 1, got 7"),
    ],
)
def test_objects_that_cannot_be_are_refused(box_xyxy: Any, class_id: int, message: str) -> None:
    model = fake_detector(["cell"], [("cell", 0.9, (2, 2, 20, 20))], size_wh=(32, 32))
    with pytest.raises(OptionError, match=message):
        model.explain(_image(), Detection("cell", 0.5, box_xyxy, class_id), budget=16)


def test_an_image_in_which_nothing_is_found_has_an_error_of_its_own() -> None:
    with pytest.raises(NothingFoundError, match="no object with a score"):
        fake_detector(["cell"], [], size_wh=(32, 32)).explain(_image(), budget=16)


def test_curves_are_of_finite_maps_of_this_model() -> None:
    classifier = fake_classifier(LABELS, _halves, multi_label=True)
    explanation = classifier.explain(_image(), budget=16)
    for found, message in ((explanation.map * np.nan, "not finite"), ([[0.0]], "numpy array")):
        with pytest.raises(OptionError, match=message):
            classifier.explanation_curves(_image(), replace(explanation, map=found))  # type: ignore[arg-type]
    detector = fake_detector(["cell"], [("cell", 0.9, (2, 2, 20, 20))], size_wh=(32, 32))
    with pytest.raises(OptionError, match="is of a class, and this model finds objects"):
        detector.explanation_curves(_image(), explanation)


def test_a_right_map_is_ahead_of_random_ones_and_one_of_noise_is_not() -> None:
    model = fake_classifier(LABELS, _halves, multi_label=True)
    frame = as_frame(_image())
    explanation = model.explain(frame, "left", budget=512)
    check = ExplanationCheck.of(model, frame, explanation)
    assert check.ahead >= 0.9
    assert check.insertion > check.random_insertion
    assert check.deletion < check.random_deletion
    assert check.stability is not None
    assert check.stability > 0.5
    noise = replace(explanation, map=random_map((60, 90), 8, 99))
    assert ExplanationCheck.of(model, frame, noise).ahead < 0.9
