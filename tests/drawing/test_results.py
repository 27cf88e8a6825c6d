"""Results in pictures: readable, inside the picture, nothing covered, and the same every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevision.drawing import results
from edgevision.drawing.colors import class_color
from edgevision.drawing.results import draw_classification, draw_detections, outline_detections, unanswered
from edgevision.drawing.text import Pen
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections
from edgevision.tasks.prediction_sets import PredictionSets
from edgevision.tasks.score_calibration import OperatingPoint

SCORES = Classification(np.array([0.008, 0.992], np.float32), ("person", "no_person"))


def _found(*boxes: tuple[float, ...], scores: list[float] | None = None) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.5, np.float32) if scores is None else np.array(scores, np.float32),
        np.arange(count) % 3,
        ("cat", "dog", "bus"),
    )


def _area(picture: np.ndarray, class_id: int) -> int:
    """Pixels in the colour of a class."""
    return int((np.abs(picture.astype(int) - class_color(class_id)).max(axis=2) < 3).sum())


def test_a_box_is_drawn_in_its_classs_colour_and_the_image_is_left_alone() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    for draw in (draw_detections, outline_detections):
        drawn = draw(image, _found((100, 80, 200, 160)))
        assert not image.any()
        np.testing.assert_allclose(drawn[160, 150], class_color(0), atol=40)
        assert not drawn[120, 150].any(), "the inside of the box is left free"


def test_a_box_is_seen_on_a_ground_of_its_own_colour() -> None:
    image = np.full((240, 320, 3), class_color(0), np.uint8)
    drawn = outline_detections(image, _found((100, 80, 200, 160)), line=3)
    assert (drawn[155:166, 150].max(axis=1) < 60).any(), "a dark edge"


def test_the_id_of_an_object_that_is_followed_is_written_before_its_class() -> None:
    found = _found((100, 80, 200, 160))
    image = np.zeros((240, 320, 3), np.uint8)
    plain, seventh, unknown = (
        draw_detections(image, replace(found, tracker_id=ids))
        for ids in (None, np.array([7], np.int64), np.array([-1], np.int64))
    )
    np.testing.assert_array_equal(plain, unknown)
    assert _area(seventh, 0) > 1.1 * _area(plain, 0), "a longer label"
    pen = Pen.for_picture(image)
    assert results._label(replace(found, tracker_id=np.array([7]))[0], True, pen, 320) == "#7 cat 50%"


def test_an_empty_result_draws_nothing() -> None:
    image = np.full((240, 320, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_detections(image, _found()), image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (400, 3, 3), (1080, 1920, 3), (32, 32, 3)])
def test_images_of_any_size_are_drawn_on(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 255, np.uint8)
    boxes = draw_detections(image, _found((0, 0, shape[1], shape[0])))
    factor = boxes.shape[0] // shape[0]
    assert boxes.shape == (factor * shape[0], factor * shape[1], 3)
    assert (factor > 1) == (max(shape) < 240)
    classes = draw_classification(image, SCORES, 2)
    assert classes.shape[0] > boxes.shape[0]
    assert classes.shape[1] >= 200


def test_boxes_are_enlarged_with_a_small_image() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    drawn = draw_detections(image, _found((8, 8, 24, 24)))
    assert drawn.shape == (320, 320, 3)
    np.testing.assert_allclose(drawn[240, 160], class_color(0), atol=40)


def test_the_picture_of_a_classification_leaves_the_image_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    drawn = draw_classification(image, SCORES, 2)
    np.testing.assert_array_equal(drawn[:300], image)
    top, second = (_area(drawn[300:], class_id) for class_id in (1, 0))
    assert top > 1.5 * second, "the best class is the largest"
    rows = np.flatnonzero((np.abs(drawn[300:].astype(int) - class_color(1)).max(axis=2) < 3).any(axis=1))
    assert (
        rows.max()
        < np.flatnonzero((np.abs(drawn[300:].astype(int) - class_color(0)).max(axis=2) < 3).any(axis=1)).min()
    ), "and the first"


def test_the_size_of_a_picture_does_not_depend_on_the_result() -> None:
    image = np.zeros((100, 120, 3), np.uint8)
    shapes = {draw_classification(image, Classification(scores, ("a", "b" * 300)), 2).shape
              for scores in np.array([[0.1, 0.9], [1.0, 0.0]], np.float32)}  # fmt: skip
    assert len(shapes) == 1
    assert draw_detections(image, _found()).shape == draw_detections(image, _found((1, 2, 30, 40))).shape


def test_the_true_class_has_a_line_of_its_own() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    with_truth = draw_classification(image, SCORES, 1, truth="person")
    without = draw_classification(image, SCORES, 1)
    assert with_truth.shape[0] > without.shape[0]
    assert with_truth[without.shape[0] :].any()


def test_a_decision_and_a_prediction_set_have_a_line_each() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    point = OperatingPoint("person", 0, 0.3, "sensitivity", 0.9)
    decided = replace(SCORES, operating_point=point)
    both = replace(decided, sets=PredictionSets("lac", 0.9, 0.5, 100))
    heights = [draw_classification(image, one, 2).shape[0] for one in (SCORES, decided, both)]
    assert heights[0] < heights[1] < heights[2]
    unsure = replace(both, scores=np.array([0.5, 0.5], np.float32))
    assert draw_classification(image, unsure, 2).shape[0] == heights[2]
    assert results.verdicts(unsure) == [
        ("person: yes", "50.0% >= 30.0%"),
        ("plausible: person, no_person", "abstained"),
    ]


@pytest.mark.parametrize("shape", [(480, 640, 3), (32, 32, 3), (3, 900, 3)])
def test_a_frame_without_an_answer_is_dark_and_says_why(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 240, np.uint8)
    drawn = unanswered(image, "abstained: black")
    assert drawn.shape == draw_detections(image, _found()).shape
    dark = (drawn == 80).all(axis=2).mean()
    assert dark > 0.5
    assert (dark < 1) == (shape[0] > 3)  # there is room for text


def test_many_objects_are_drawn_and_the_same_each_time() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 400, (300, 2))
    boxes = np.hstack([corners, corners + random.uniform(5, 200, (300, 2))])
    found = _found(*boxes.tolist(), scores=random.uniform(0, 1, 300).tolist())
    image = np.zeros((480, 640, 3), np.uint8)
    np.testing.assert_array_equal(draw_detections(image, found), draw_detections(image, found))
