"""The position of an image in the network's input, compared with the actual resize of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import RESIZE_MODES, Preprocessing

SIDES = st.integers(40, 400)
INPUTS = st.integers(40, 200)


@settings(deadline=None, max_examples=200)
@given(SIDES, SIDES, INPUTS, INPUTS, st.sampled_from(RESIZE_MODES))
def test_a_box_in_the_input_is_where_the_resize_put_its_pixels(
    width: int, height: int, input_width: int, input_height: int, mode: str
) -> None:
    # Area averaging where both sides shrink, for bilinear sampling aliases there; where one grows, OpenCV's
    # INTER_AREA takes the neighbouring row at exact ties, one pixel off.
    shrinks = input_width <= width and input_height <= height
    how = Preprocessing(
        (input_width, input_height), (0.0, 1.0), resize=mode, interpolation="area" if shrinks else "bilinear"
    )
    image = np.zeros((height, width), np.uint8)
    # In the middle, where every mode shows it; as far from its own borders as the resize blurs.
    box = np.array([width * 3 // 8, height * 3 // 8, width * 5 // 8, height * 5 // 8])
    image[box[1] : box[3], box[0] : box[2]] = 255
    shown = how.resized(image).astype(np.float64) / 255
    place = placement_of(how, (width, height))
    expected = place.seen(place.to_input(box[np.newaxis]))[0]
    # Narrower, no pixel of the input lies in it whole, and its brightest does not tell its size.
    assume((expected[2:] - expected[:2]).min() >= 2)
    # A pixel that the box covers in part has that part of its value: sums are sub-pixel sizes.
    rows, columns = shown.sum(axis=1), shown.sum(axis=0)
    wide, tall = columns / rows.size, rows / columns.size
    center = [
        np.average(np.arange(columns.size) + 0.5, weights=wide),
        np.average(np.arange(rows.size) + 0.5, weights=tall),
    ]
    size = [shown.max(axis=0).sum(), shown.max(axis=1).sum()]
    np.testing.assert_allclose((expected[:2] + expected[2:]) / 2, center, atol=0.75)
    np.testing.assert_allclose(expected[2:] - expected[:2], size, atol=1.5)


@pytest.mark.parametrize(
    ("mode", "in_input", "in_image"),
    [
        ("stretch", (0, 0, 50, 50), (0, 0, 100, 50)),
        # 200 x 100 in 100 x 100: the image fills the rows 25 to 75.
        ("letterbox", (10, 25, 60, 75), (20, 0, 120, 100)),
        # The middle 100 columns are all that is seen.
        ("center-crop", (0, 0, 100, 40), (50, 0, 150, 40)),
    ],
)
def test_boxes_known_by_hand(mode: str, in_input: tuple[int, ...], in_image: tuple[int, ...]) -> None:
    place = placement_of(Preprocessing((100, 100), (0.0, 1.0), resize=mode), (200, 100))
    np.testing.assert_allclose(place.to_image(np.array([in_input]))[0], in_image)


def test_borders_of_a_letterbox_are_outside_the_image() -> None:
    place = placement_of(Preprocessing((100, 100), (0.0, 1.0), resize="letterbox"), (200, 100))
    _, top, _, bottom = place.seen(np.array([[10, 0, 20, 20]]))[0]
    assert bottom == top, "a box in the border has no height that is seen"
