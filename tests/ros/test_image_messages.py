"""Images of ROS: each encoding gives the picture that was sent, and what is no picture is refused."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import as_frame
from edgevision.imaging.frame import Frame
from edgevision.ros import read_image_message

_RANDOM = np.random.default_rng(0)
RGB = _RANDOM.integers(0, 256, (4, 6, 3), np.uint8)
GREY = _RANDOM.integers(0, 256, (4, 6), np.uint8)
DEEP = _RANDOM.integers(0, 65536, (4, 6, 3), np.uint16)
ALPHA = np.full((4, 6, 1), 9, np.uint8)


def _message(encoding: str, pixels: Any, *, pad: int = 0, big_endian: bool = False, **fields: Any) -> Any:
    pixels = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=77)
    values = {
        "encoding": encoding,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "step": rows.shape[1],
        "is_bigendian": int(big_endian),
        "data": rows.reshape(-1),
    }
    return SimpleNamespace(**{**values, **fields})


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "sent", "pixels", "color"),
    [
        ("rgb8", RGB, RGB, "rgb"),
        ("bgr8", RGB, RGB, "bgr"),
        ("rgba8", np.concatenate([RGB, ALPHA], 2), RGB, "rgb"),
        ("bgra8", np.concatenate([RGB, ALPHA], 2), RGB, "bgr"),
        ("mono8", GREY, GREY, "gray"),
        ("8UC1", GREY, GREY, "gray"),
        ("rgb16", DEEP, DEEP, "rgb"),
        ("bgr16", DEEP, DEEP, "bgr"),
        ("mono16", DEEP[:, :, 0], DEEP[:, :, 0], "gray"),
    ],
)
def test_pixels_are_read_in_the_order_of_their_encoding(
    encoding: str, sent: Any, pixels: Any, color: str, pad: int
) -> None:
    for big_endian in (False, True):
        frame = read_image_message(_message(encoding, sent, pad=pad, big_endian=big_endian))
        assert isinstance(frame, Frame)
        assert frame.color == color
        assert frame.pixels.dtype == pixels.dtype
        np.testing.assert_array_equal(frame.pixels, pixels)


@pytest.mark.parametrize("kind", [bytes, bytearray, list, lambda data: array.array("B", data)])
def test_data_comes_in_any_form_that_ros_libraries_use(kind: Any) -> None:
    message = _message("rgb8", RGB, data=kind(RGB.tobytes()))
    np.testing.assert_array_equal(read_image_message(message).pixels, RGB)


def test_pixels_share_the_memory_of_a_message_where_nothing_has_to_be_changed() -> None:
    message = _message("rgb8", RGB)
    assert np.shares_memory(read_image_message(message).pixels, message.data)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("pattern", "places"),
    [("rggb", "rggb"), ("bggr", "bggr"), ("gbrg", "gbrg"), ("grbg", "grbg")],
)
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_mosaics_have_their_colours(pattern: str, places: str, channel: int, bits: int) -> None:
    values = [200 if one == "rgb"[channel] else 0 for one in places]
    mosaic = np.tile(np.array(values).reshape(2, 2), (4, 4)).astype(f"uint{bits}")
    pixels = read_image_message(_message(f"bayer_{pattern}{bits}", mosaic)).pixels
    expected = np.zeros(3)
    expected[channel] = 200
    np.testing.assert_allclose(pixels[2:-2, 2:-2].reshape(-1, 3).mean(axis=0), expected, atol=1)


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy"])
def test_yuv_is_read_with_its_step(encoding: str) -> None:
    rows = np.full((4, 16), 128, np.uint8)
    rows[:, 1:12:2] = 235  # white in 12 bytes, and 4 of padding
    message = _message(encoding, rows, width=6, step=16)
    pixels = as_frame(read_image_message(message)).pixels
    assert pixels.shape == (4, 6, 3)
    assert pixels.min() >= 250


@pytest.mark.parametrize("described", ["jpeg", "rgb8; jpeg compressed bgr8", "png", "bgr8; png compressed "])
def test_compressed_images_are_decoded(described: str) -> None:
    suffix = ".jpg" if "jpeg" in described else ".png"
    picture = np.full((40, 50, 3), (200, 100, 30), np.uint8)
    data = cv2.imencode(suffix, picture[..., ::-1])[1].reshape(-1)
    frame = read_image_message(SimpleNamespace(format=described, data=data))
    np.testing.assert_allclose(as_frame(frame).pixels, picture, atol=4)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (_message("16UC1", GREY.astype(np.uint16)), "distances, not a picture"),
        (_message("32FC1", GREY.astype(np.float32)), "distances, not a picture"),
        (SimpleNamespace(format="16UC1; compressedDepth png", data=b""), "distances, not a picture"),
        (_message("8UC3", RGB), "pass color='rgb' or color='bgr'"),
        (_message("rgb9", RGB), "encoding 'rgb9' is not known; expected one of rgb8"),
        (_message("bayer_rggb", GREY), "is not known"),
        (_message("rgb8", RGB, data=b"short"), "take at least 72 bytes, got 5"),
        (_message("rgb8", RGB, step=3), "take at least"),
        (_message("rgb8", RGB, height=0), "expected sides of 1"),
        (_message("rgb8", RGB, height=2**40), "expected sides of 1"),
        (_message("rgb8", RGB, data=RGB.astype(np.float32).reshape(-1)), "expected uint8 numbers"),
        (_message("rgb8", RGB, data=None), "data"),
        (_message("rgb8", RGB, width="wide"), "width: expected a whole number"),
        (_message("rgb8", RGB, data=[1, 300]), "data: expected uint8 numbers"),
        (SimpleNamespace(encoding="rgb8"), "height: expected a whole number"),
        (SimpleNamespace(encoding=7), "encoding: expected text"),
        (SimpleNamespace(format=7, data=b""), "format: expected text"),
        (SimpleNamespace(format="jpeg", data=b"no jpeg"), "message"),
        ("text", "without the fields 'encoding'"),
        (None, "without the fields 'encoding'"),
    ],
)
def test_what_is_no_picture_is_refused(message: Any, told: str) -> None:
    with pytest.raises((InputError, OptionError), match=told):
        read_image_message(message)


def test_the_order_of_colours_is_stated_where_the_encoding_does_not_say_it_and_nowhere_else() -> None:
    assert read_image_message(_message("8UC3", RGB), color="bgr").color == "bgr"
    assert read_image_message(_message("rgb8", RGB), color="rgb").color == "rgb"
    with pytest.raises(OptionError, match="contradicts the message's encoding 'rgb8'"):
        read_image_message(_message("rgb8", RGB), color="bgr")
    with pytest.raises(OptionError, match="color"):
        read_image_message(_message("rgb8", RGB), color="hsv")
