"""Fake models: an application is tested without a runtime and without a bundle."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.errors import InferenceError, OptionError, SessionClosedError
from edgevision.tasks.classify import Classifier
from edgevision.tasks.detect import Detector
from edgevision.tasks.generation.image_to_image import ImageToImage
from edgevision.tasks.generation.latent import LatentGenerator
from edgevision.tasks.score_calibration import OperatingPoint
from edgevision.testing import fake_classifier, fake_detector, fake_generator, fake_image_to_image, models

FRAME = np.zeros((48, 64, 3), np.uint8)
OBJECTS = [
    ("car", 0.6, (1.0, 2.0, 30.0, 40.0)),
    ("person", 0.9, (10.0, 5.0, 20.0, 45.0)),
    ("person", 0.8, (10.0, 5.0, 20.0, 45.0)),
]


# --- an application, and its tests --------------------------------------------------------------


class Gate:
    """Opens for people, and stays closed when the camera's network fails."""

    def __init__(self, model: Detector) -> None:
        self.model = model

    def is_open(self, frame: Any) -> bool:
        try:
            return any(found.label == "person" for found in self.model(frame, score_threshold=0.5))
        except InferenceError:
            return False


def broken(image: Any) -> Any:
    raise InferenceError("the camera's network failed")


@pytest.mark.parametrize(
    ("objects", "is_open"),
    [(OBJECTS, True), ([("person", 0.4, (0, 0, 9, 9))], False), ([], False), (broken, False)],
    ids=["a person", "hardly a person", "nobody", "failure"],
)
def test_an_application_is_tested_with_a_fake_detector(objects: Any, is_open: bool) -> None:
    assert Gate(fake_detector(["person", "car"], objects)).is_open(FRAME) is is_open


# --- each kind of fake --------------------------------------------------------------------------


def test_a_fake_classifier_answers_with_the_scores_for_arrays_files_and_batches(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), FRAME)
    model = fake_classifier(["cat", "dog", "owl"], [0.125, 0.625, 0.25])
    assert isinstance(model, Classifier)
    for answer in (model(FRAME), model(tmp_path / "photo.png"), *model([FRAME, FRAME])):
        assert answer.scores.tolist() == [0.125, 0.625, 0.25]
        assert [found.label for found in answer] == ["dog", "owl", "cat"]


def test_a_function_gets_each_image_as_the_network_would() -> None:
    seen = []

    def scores(image: Any) -> list[float]:
        seen.append(image)
        return [image.mean() / 255, 0]

    model = fake_classifier(["bright", "dark"], scores, size_wh=(8, 4), multi_label=True)
    answers = model([np.full((30, 30, 3), value, np.uint8) for value in (51, 102, 255)])
    assert [round(float(answer.scores[0]), 4) for answer in answers] == [0.2, 0.4, 1.0]
    assert all(answer.multi_label for answer in answers)
    assert [image.shape for image in seen] == [(4, 8, 3)] * 3
    assert [int(image.max()) for image in seen] == [51, 102, 255]  # each image keeps its own memory


def test_a_fake_classifier_decides_on_a_class_of_interest() -> None:
    point = OperatingPoint("ill", 1, 0.2, "sensitivity", 0.95)
    answers = iter([[0.7, 0.3], [0.9, 0.1]])
    model = fake_classifier(["well", "ill"], lambda image: next(answers), operating_point=point)
    assert [model(FRAME).positive, model(FRAME).positive] == [True, False]


@pytest.mark.parametrize("scores", ["dog", {"cat": 0.3, "dog": 0.7}, None])
def test_scores_that_are_not_numbers_are_refused(scores: Any) -> None:
    with pytest.raises(OptionError, match="scores: expected one (number )?per label"):
        fake_classifier(["cat", "dog"], scores)


@pytest.mark.parametrize("scores", [[0.5], [0.2, 0.3, 0.5], 0.5])
def test_scores_that_are_not_one_per_label_are_refused(scores: Any) -> None:
    with pytest.raises(OptionError, match=r"scores: expected one per label \(2\), got "):
        fake_classifier(["cat", "dog"], scores)
    model = fake_classifier(["cat", "dog"], lambda image: scores)
    with pytest.raises(OptionError, match="expected one per label"):
        model(FRAME)


def test_a_fake_detector_answers_with_every_object_the_best_first() -> None:
    model = fake_detector(["person", "car"], OBJECTS, size_wh=(64, 48))
    assert isinstance(model, Detector)
    for found in (model(FRAME), *model([FRAME, FRAME])):
        assert found.labels == ("person", "person", "car")
        assert found.scores.tolist() == np.array([0.9, 0.8, 0.6], np.float32).tolist()
        assert found.boxes_xyxy.tolist() == [[10, 5, 20, 45], [10, 5, 20, 45], [1, 2, 30, 40]]


def test_thresholds_of_the_call_hold_for_a_fake_detector() -> None:
    model = fake_detector(["person", "car"], OBJECTS)
    assert len(model(FRAME, score_threshold=0.7)) == 2
    assert len(model(FRAME, iou_threshold=0.5)) == 2
    assert len(model(FRAME, max_detections=1)) == 1


def test_boxes_move_in_proportion_with_the_size_of_the_image() -> None:
    model = fake_detector(["car"], [("car", 0.5, (16, 12, 32, 24))], size_wh=(64, 48))
    assert model(np.zeros((96, 256, 3), np.uint8)).boxes_xyxy.tolist() == [[64, 24, 128, 48]]


def test_a_function_finds_objects_in_each_image() -> None:
    def objects(image: Any) -> list[Any]:
        return [("spot", 0.5, (0, 0, 8, 8))] * int(image[0, 0, 0])

    model = fake_detector(["spot"], objects, size_wh=(64, 48))
    assert [len(model(np.full((48, 64, 3), count, np.uint8))) for count in (0, 1, 3)] == [0, 1, 3]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([("dog", 0.5, (0, 0, 1, 1))], r"objects: 'dog' is not in the label list \(cat, owl\)"),
        ([("cat", 0.5, (0, 0, 1, 1))] * 101, "objects: expected up to 100, got 101"),
    ],
)
def test_objects_that_no_detector_could_find_are_refused(objects: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fake_detector(["cat", "owl"], objects)


def test_a_fake_generator_answers_with_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    model = fake_generator(image, size_wh=(8, 6))
    assert isinstance(model, LatentGenerator)
    images = model.sample(3, seed=7)
    assert images.seeds == (7, 8, 9)
    assert all(np.array_equal(each, image) for each in images)
    with pytest.raises(OptionError, match="condition"):
        model.sample(1, condition="cat")


def test_a_function_makes_an_image_of_each_seed_and_label() -> None:
    asked = []

    def image(vector: Any, label: str | None) -> Any:
        asked.append((float(vector[0]), label))
        return np.full((4, 4, 1), 0 if label is None else 255, np.uint8)

    model = fake_generator(image, labels=["cat", "dog"], size_wh=(4, 4), color="gray")
    assert [int(each.max()) for each in model.sample(2, seed=1, condition=["cat", "dog"])] == [255, 255]
    assert int(model.sample(1, seed=1)[0].max()) == 0
    assert [label for _, label in asked] == ["cat", "dog", None]
    assert asked[0][0] == asked[2][0] != asked[1][0]  # the same seed, the same vector


def test_a_fake_image_to_image_network_changes_and_enlarges() -> None:
    model = fake_image_to_image(lambda image: image.repeat(2, 0).repeat(2, 1), size_wh=(64, 48), scale=2)
    assert isinstance(model, ImageToImage)
    frame = np.random.default_rng(0).integers(0, 256, FRAME.shape, np.uint8)
    np.testing.assert_array_equal(model(frame)[0], frame.repeat(2, 0).repeat(2, 1))
    assert len(model([frame, frame])) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: fake_generator(np.zeros((8, 8, 3), np.uint8), size_wh=(4, 4)),
        lambda: fake_generator(np.zeros((4, 4, 3), np.uint8), size_wh=(4, 4), color="gray"),
        lambda: fake_image_to_image(lambda image: image[:8])(FRAME),
        lambda: fake_image_to_image(lambda image: image / 255)(FRAME),  # type: ignore[arg-type,return-value]
    ],
)
def test_an_image_of_another_size_or_type_is_refused(call: Any) -> None:
    with pytest.raises(OptionError, match=r"image: expected \(.*\) uint8, got \("):
        call()


def test_a_closed_fake_is_closed() -> None:
    with fake_classifier(["cat", "dog"], [0, 1]) as model:
        pass
    with pytest.raises(SessionClosedError):
        model(FRAME)


def test_the_examples_in_the_docstrings_run() -> None:
    results = doctest.testmod(models, extraglobs={"np": np})
    assert (results.failed, results.attempted) == (0, 12)
