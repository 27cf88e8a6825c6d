"""Drawing: readable, inside the image, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.drawing.results import class_color, draw_classification, draw_detections, plain
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections


def _found(*boxes: tuple[float, ...]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.5, np.float32),
        np.zeros(count, np.int64),
        ("cat",),
    )


def test_a_box_is_drawn_in_its_classs_colour_and_the_image_is_left_alone() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    drawn = draw_detections(image, _found((100, 80, 200, 160)))
    assert not image.any()
    # A line's edge is smoothed into what lies beneath it.
    np.testing.assert_allclose(drawn[160, 150], class_color(0), atol=40)
    assert not drawn[120, 150].any(), "the inside of the box is left free"


def test_an_empty_result_draws_nothing() -> None:
    image = np.full((20, 30, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_detections(image, _found()), image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 400, 3), (400, 3, 3), (1080, 1920, 3)])
def test_images_of_any_size_are_drawn_on(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.uint8)
    assert draw_detections(image, _found((0, 0, shape[1], shape[0]))).shape == shape
    scores = Classification(np.array([0.25, 0.75], np.float32), ("cat", "dog"))
    assert draw_classification(image, scores, 2).shape == shape


def test_neighbouring_classes_differ_in_colour() -> None:
    colors = np.array([class_color(number) for number in range(90)])
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 60


@pytest.mark.parametrize(("label", "shown"), [("cat", "cat"), ("Kätzchen", "Katzchen"), ("猫", "class 4")])
def test_labels_are_written_in_letters_that_opencv_can_draw(label: str, shown: str) -> None:
    assert plain(label, 4) == shown
