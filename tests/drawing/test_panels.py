"""Pictures side by side keep their pixels, and have captions."""

from __future__ import annotations

import numpy as np

from edgevision.drawing.panels import side_by_side


def test_panels_keep_their_pixels_below_their_captions() -> None:
    random = np.random.default_rng(0)
    left = random.integers(0, 256, (240, 320, 3), np.uint8)
    grey = random.integers(0, 256, (200, 300, 1), np.uint8)
    out = side_by_side({"found": left, "ground truth": grey})
    caption = out.shape[0] - 240
    np.testing.assert_array_equal(out[caption:, :320], left)
    np.testing.assert_array_equal(out[caption : caption + 200, 324:624], grey.repeat(3, axis=2))
    assert (out[:caption, :320] < 128).any()
    assert (out[:caption, 324:] < 128).any()


def test_a_caption_has_room_above_a_narrow_picture() -> None:
    narrow = np.zeros((40, 3, 3), np.uint8)
    assert side_by_side({"ground truth": narrow}).shape[1] > 60
