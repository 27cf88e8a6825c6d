"""YUV frames become the RGB that the standard's formulas give, with and without padded rows."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import as_batch, as_frame, as_image
from edgevision.imaging.yuv import YUV_COLORS, YUV_FORMATS, YuvFrame

WIDTH, HEIGHT = 16, 12
RNG = np.random.default_rng(0)
#: A smooth picture in the middle of the range, so that no colour is out of gamut.
Y = np.linspace(60, 180, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).round().astype(np.uint8)
U = RNG.integers(108, 148, (HEIGHT // 2, WIDTH // 2), np.uint8)
V = RNG.integers(108, 148, (HEIGHT // 2, WIDTH // 2), np.uint8)


def reference(u: Any, v: Any, value_range: str, matrix: str) -> Any:
    """BT.601 or BT.709 as their recommendations write them; chroma repeated."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    rows, columns = HEIGHT // u.shape[0], WIDTH // u.shape[1]
    wide = [plane.repeat(rows, 0).repeat(columns, 1).astype(float) - 128 for plane in (u, v)]
    luma = Y.astype(float) / 255
    cb, cr = (plane / 255 for plane in wide)
    if value_range == "limited":
        luma, cb, cr = (Y.astype(float) - 16) / 219, wide[0] / 224, wide[1] / 224
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.stack([r, g, b], axis=2) * 255


def packed(name: str, stride: int | None = None) -> Any:
    """The frame in a format, as rows; those beyond the width are 255."""
    if name in ("yuyv", "yvyu", "uyvy"):
        rows = np.full((HEIGHT, stride or 2 * WIDTH), 255, np.uint8)
        first, second = (V, U) if name == "yvyu" else (U, V)
        wide = np.zeros((HEIGHT, 2 * WIDTH), np.uint8)
        luma = 1 if name == "uyvy" else 0
        wide[:, luma::2] = Y
        wide[:, 1 - luma :: 4], wide[:, 3 - luma :: 4] = first.repeat(2, 0), second.repeat(2, 0)
        rows[:, : 2 * WIDTH] = wide
        return rows
    stride = stride or WIDTH
    rows = np.full((HEIGHT * 3 // 2, stride), 255, np.uint8)
    rows[:HEIGHT, :WIDTH] = Y
    if name in ("nv12", "nv21"):
        pairs = (U, V) if name == "nv12" else (V, U)
        rows[HEIGHT:, :WIDTH] = np.stack(pairs, axis=2).reshape(HEIGHT // 2, WIDTH)
        return rows
    planes = np.full((HEIGHT, stride // 2), 255, np.uint8)
    planes[:, : WIDTH // 2] = np.concatenate((U, V) if name == "yuv420" else (V, U))
    rows[HEIGHT:] = planes.reshape(HEIGHT // 2, stride)
    return rows


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("value_range", ["limited", "full"])
@pytest.mark.parametrize("stride", [None, 48])
@pytest.mark.parametrize("name", YUV_FORMATS)
def test_a_frame_is_what_the_standard_computes(
    name: str, stride: int | None, value_range: str, matrix: str
) -> None:
    rows = packed(name, stride)
    expected = reference(U, V, value_range, matrix)
    assert expected.min() > 2
    assert expected.max() < 253
    size_wh = None if stride is None else (WIDTH, HEIGHT)
    forms = {
        "rows": YuvFrame(rows, name, size_wh, range=value_range, matrix=matrix),
        "bytes": YuvFrame(rows.tobytes(), name, (WIDTH, HEIGHT), stride, value_range, matrix),
        "larger buffer": YuvFrame(
            np.append(rows.ravel(), np.zeros(999, np.uint8)),
            name,
            (WIDTH, HEIGHT),
            stride,
            value_range,
            matrix,
        ),
    }
    for form, frame in forms.items():
        got = as_image(frame)
        assert got.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(got - expected).max() <= 1.6, form


@pytest.mark.parametrize("color", YUV_COLORS)
def test_the_colour_of_an_array_may_be_a_yuv_format(color: str) -> None:
    name, _, full = color.partition("-")
    array = packed(name)
    expected = reference(U, V, full or "limited", "bt601")
    assert np.abs(as_image(array, color) - expected).max() <= 1.6
    if name in ("yuyv", "uyvy", "yvyu"):
        assert np.abs(as_image(array.reshape(HEIGHT, WIDTH, 2), color) - expected).max() <= 1.6
    batch = as_batch(np.stack([array, array]))
    assert all(np.array_equal(as_frame(one, color).pixels, as_image(array, color)) for one in batch)


@pytest.mark.parametrize("name", YUV_FORMATS)
def test_the_extremes_of_both_ranges_are_black_and_white(name: str) -> None:
    for value_range, black, white in (("limited", 16, 235), ("full", 0, 255)):
        for value, expected in ((black, 0), (white, 255)):
            rows = packed(name)
            grey = np.full_like(rows, 128)
            luma = (
                np.s_[:, 1::2]
                if name == "uyvy"
                else np.s_[:, 0::2]
                if rows.shape[0] == HEIGHT
                else np.s_[:HEIGHT]
            )
            grey[luma] = value
            assert (YuvFrame(grey, name, range=value_range).to_rgb() == expected).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((18, 16), np.uint16), "nv12"), "expected a uint8 array or bytes, got uint16"),
        ((np.zeros((18, 16, 3), np.uint8), "nv12"), r"shape \(height \* 3 / 2, width\), got"),
        ((np.zeros((17, 16), np.uint8), "yuv420"), "its height is no multiple of 3"),
        ((np.zeros((18, 15), np.uint8), "nv12"), "expected an even width and height, got 15 x 12"),
        ((np.zeros((21, 16), np.uint8), "nv12", (16, 14), 16), None),
        ((np.zeros((18, 24), np.uint8), "nv12", (16, 14)), r"16 x 14 pixels .* 504 bytes in rows of 24"),
        ((np.zeros((18, 24), np.uint8), "nv12", (16, 10)), r"16 x 10 pixels .* got shape \(18, 24\)"),
        ((np.zeros((18, 16), np.uint8), "nv12", (32, 12)), r"32 x 12 .* in rows of 16 \(at least 32\)"),
        ((bytes(288), "nv12"), "a buffer does not say its size; pass size_wh"),
        ((bytes(287), "nv12", (16, 12)), "need 288 bytes"),
        ((bytes(383), "yuyv", (16, 12)), "need 384 bytes"),
    ],
)  # fmt: skip
def test_a_frame_that_does_not_match_its_size_is_refused(
    arguments: tuple[Any, ...], message: str | None
) -> None:
    if message is None:
        assert YuvFrame(*arguments).to_rgb().shape == (14, 16, 3)
        return
    with pytest.raises(InputError, match=message):
        YuvFrame(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "yuv444"}, "format: expected one of yuv420, yvu420, nv12"),
        ({"range": "pc"}, "range: expected one of limited, full"),
        ({"matrix": "bt2020"}, "matrix: expected one of bt601, bt709"),
        ({"size_wh": 16}, "size_wh: expected"),
        ({"size_wh": (16, 12), "stride": 0}, "stride: expected"),
    ],
)
def test_an_unknown_setting_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        YuvFrame(**{"data": packed("nv12"), "format": "nv12", **options})


def test_a_photo_survives_the_way_through_yuv(shared: Any) -> None:
    photo = as_image(shared / "images" / "owl.jpg")
    height, width = (size // 2 * 2 for size in photo.shape[:2])
    photo = cv2.GaussianBlur(photo[:height, :width], (9, 9), 4)
    i420 = cv2.cvtColor(photo, cv2.COLOR_RGB2YUV_I420)
    assert np.abs(as_image(i420, "yuv420").astype(int) - photo).mean() < 2
