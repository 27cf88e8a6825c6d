"""Labels are placed where they can be read: none over another, near their objects, few over objects."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgevision.drawing.placement import place_labels


def _rectangles(corners: list, sizes: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    return [
        (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
        for corner, size in zip(corners, sizes, strict=True)
        if corner is not None
    ]


@pytest.mark.parametrize("count", [1, 2, 10, 60])
def test_no_label_covers_another_and_all_are_in_the_picture(count: int) -> None:
    random = np.random.default_rng(count)
    corners = random.integers(0, 400, (count, 2))
    boxes = np.hstack([corners, corners + random.integers(10, 200, (count, 2))]).astype(np.float64)
    sizes = [(80, 20)] * count
    placed = place_labels(boxes, sizes, 480, 640)
    labels = _rectangles(placed, sizes)
    assert len(labels) >= min(count, 30)
    for left, top, right, bottom in labels:
        assert (left >= 0, top >= 0, right <= 640, bottom <= 480) == (True,) * 4
    for one, other in itertools.combinations(labels, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_a_label_is_above_its_object_where_there_is_room() -> None:
    assert place_labels(np.array([[100.0, 80, 200, 160]]), [(50, 20)], 240, 320) == [(100, 60)]


def test_a_label_keeps_off_its_object_and_off_others() -> None:
    boxes = np.array([[100.0, 0, 200, 100], [90.0, 110, 210, 200]])
    (left, top), _ = place_labels(boxes, [(50, 20)] * 2, 240, 320)
    assert not (left < 200 and left + 50 > 100 and top < 100), "there is no room above: it is beside"


def test_objects_at_one_place_have_stacked_labels() -> None:
    placed = place_labels(np.array([[100.0, 100, 200, 160]] * 4), [(90, 20)] * 4, 240, 320)
    assert None not in placed
    assert len(set(placed)) == 4


def test_of_a_crowd_the_last_go_without_a_label() -> None:
    placed = place_labels(np.tile([[10.0, 10, 60, 40]], (40, 1)), [(60, 20)] * 40, 100, 100)
    assert placed[0] is not None
    assert placed[-1] is None


def test_a_label_larger_than_the_picture_is_at_its_corner() -> None:
    assert place_labels(np.array([[0.0, 0, 3, 3]]), [(50, 20)], 3, 3) == [(0, 0)]
