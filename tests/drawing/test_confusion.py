"""Confusion matrices as readable images."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.drawing.confusion import draw_confusion


@pytest.mark.parametrize("classes", [1, 2, 10, 60, 100, 1000])
def test_the_image_fits_on_a_screen(classes: int) -> None:
    picture = draw_confusion(np.eye(classes, dtype=np.int64) * 7, [f"class {n}" for n in range(classes)])
    assert picture.dtype == np.uint8
    assert max(picture.shape) <= 2100
    assert min(picture.shape[:2]) >= 40


def test_a_cell_is_darker_the_greater_its_share_of_its_row() -> None:
    labels = [str(number) for number in range(100)]
    matrix = np.zeros((100, 100), np.int64)
    matrix[0, :3] = 6, 3, 1
    picture = draw_confusion(matrix, labels).astype(int).sum(axis=2)
    left = 12  # no names at this size
    shades = [picture[left + 4, left + 9 * column + 4] for column in range(4)]
    assert shades == sorted(shades)
    assert shades[3] == 3 * 255


def test_labels_of_other_scripts_and_long_ones_are_no_error() -> None:
    picture = draw_confusion(np.array([[3, 1], [0, 2]]), ["白血球", "a very long label that goes on and on"])
    assert (picture < 100).any()
