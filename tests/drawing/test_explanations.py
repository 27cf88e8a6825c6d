"""Explanations in pictures: bright where the score rests, and nothing of a constant map."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.drawing.explanations import draw_explanation
from edgevision.drawing.sheet import contact_sheet
from edgevision.explaining.explanation import Explanation
from edgevision.explaining.settings import ExplainSettings


def _explanation(found: np.ndarray, box: tuple[float, float, float, float] | None = None) -> Explanation:
    return Explanation(found.astype(np.float32), "cat", 0, 0.9, 0.1, box, 500, 0.97, True, ExplainSettings())


@pytest.mark.parametrize("size_hw", [(32, 32), (480, 640), (60, 1200)])
def test_what_matters_is_brighter_and_the_caption_is_below(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    image = np.full((height, width, 3), 128, np.uint8)
    found = np.zeros(size_hw)
    found[height // 4 : height // 2, width // 4 : width // 2] = 1
    out = draw_explanation(image, _explanation(found))
    factor = out.shape[1] // width
    inside = out[int(height * 0.375) * factor, int(width * 0.375) * factor].astype(int).sum()
    outside = out[int(height * 0.75) * factor, int(width * 0.75) * factor].astype(int).sum()
    assert inside > 1.5 * outside
    assert out.shape[0] > height * factor
    assert (image == 128).all(), "the caller's image is changed"


def test_a_constant_map_has_no_line_and_no_colour() -> None:
    image = np.full((300, 300, 3), 128, np.uint8)
    out = draw_explanation(image, _explanation(np.zeros((300, 300))))
    assert np.ptp(out[:290].reshape(-1, 3), axis=0).max() == 0


def test_what_lowers_the_score_is_not_shown_as_if_it_raised_it() -> None:
    found = np.zeros((300, 300))
    found[:100] = -1
    out = draw_explanation(np.full((300, 300, 3), 128, np.uint8), _explanation(found))
    assert np.ptp(out[:290].reshape(-1, 3), axis=0).max() == 0


def test_an_object_is_framed() -> None:
    image = np.full((300, 300, 3), 128, np.uint8)
    out = draw_explanation(image, _explanation(np.zeros((300, 300)), (50.0, 60.0, 150.0, 160.0)))
    assert (out[100, 50] == 255).all()


def test_a_sheet_has_a_place_for_each_picture() -> None:
    pictures = [np.full((40 + 10 * n, 60, 3), 50 * (n + 1), np.uint8) for n in range(5)]
    sheet = contact_sheet(pictures, 60)
    assert sheet.shape == (2 * 64 - 4, 3 * 64 - 4, 3)
    assert {int(value) for value in np.unique(sheet)} == {0, 50, 100, 150, 200, 250}
