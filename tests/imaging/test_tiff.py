"""TIFF in every form that a camera or a scanner writes: the values that it stores, or a refusal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevision.errors import InputError
from edgevision.imaging.decode import as_frame, as_image, decode_frame, frame_count, read_frames
from edgevision.imaging.headers import format_of
from image_files import ramp, tiff, tiff_of

RGB16 = np.stack([ramp(16), ramp(16)[::-1], ramp(16)[:, ::-1]], axis=2)
RGB8 = (RGB16 >> 8).astype(np.uint8)


def rgb_of(frame: Any) -> Any:
    return frame.pixels[:, :, ::-1] if frame.color == "bgr" else frame.pixels


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("form", [{}, {"big_endian": True}, {"big": True}, {"big": True, "big_endian": True}])
def test_grey_values_are_kept(dtype: str, form: dict[str, bool]) -> None:
    pixels = (ramp(8).astype(np.int64) - (100 if dtype in ("int16", "float32") else 0)).astype(dtype)
    file = tiff(pixels, **form)
    assert format_of(file) == "TIFF"
    np.testing.assert_array_equal(as_frame(file).pixels, pixels)


@pytest.mark.parametrize("pixels", [RGB8, RGB16, RGB16.astype(np.float32) / 7], ids=["8", "16", "float"])
def test_colours_are_in_order(pixels: Any) -> None:
    np.testing.assert_array_equal(rgb_of(as_frame(tiff(pixels))), pixels)


def test_white_that_is_zero_is_white() -> None:
    grey = ramp(8).astype(np.uint8)
    np.testing.assert_array_equal(as_image(tiff(grey, t262=0))[:, :, 0], 255 - grey)
    deep = as_frame(tiff(ramp(16), t262=0))
    assert deep.inverted
    np.testing.assert_array_equal(deep.pixels, ramp(16))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_bits_are_unpacked(bits: int) -> None:
    values = ramp(bits, (4, 8))
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values.tolist()]
    data = b"".join(int(row, 2).to_bytes(bits, "big") for row in rows)
    tags = {256: 8, 257: 4, 258: bits, 259: 1, 262: 1, 277: 1, 278: 4}
    frame = as_frame(tiff_of([(data, tags)]))
    assert frame.bits == bits
    np.testing.assert_array_equal(frame.pixels, values)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"])
def test_compressed_pages_are_read(compression: str) -> None:
    picture = Image.fromarray(np.kron(RGB8, np.ones((8, 8, 1), np.uint8)))
    picture = picture.convert("1") if compression == "group4" else picture
    buffer = io.BytesIO()
    picture.save(buffer, "TIFF", compression=compression)
    expected = np.asarray(picture.convert("RGB")).astype(int)
    difference = np.abs(as_image(buffer.getvalue()) - expected)
    assert difference.mean() <= (6 if compression == "jpeg" else 0)


def test_alpha_is_dropped_and_never_blended() -> None:
    opaque = np.dstack([RGB8, np.full((6, 8), 255, np.uint8)])
    np.testing.assert_array_equal(as_image(tiff(opaque)), RGB8)
    with pytest.raises(InputError, match="alpha channel is not opaque everywhere"):
        as_image(tiff(np.dstack([RGB8, ramp(8).astype(np.uint8)])))
    np.testing.assert_array_equal(rgb_of(as_frame(tiff(np.dstack([RGB16, ramp(16)])))), RGB16)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (tiff(RGB16, t284=2), "3 channels of 16 unsigned bits, .* each channel apart are not supported"),
        (tiff(RGB16[:, :, :2].copy()), "2 channels of 16 unsigned bits"),
        (tiff(ramp(16).astype(np.uint32)), "1 channels of 32 unsigned bits"),
        (tiff(ramp(16).astype(np.float64)), "1 channels of 64 floating-point bits"),
        (tiff(RGB8, t262=8), "colour space 8"),
        (tiff(np.dstack([RGB8, RGB8[:, :, 0]]), t262=5), "4 channels of 8 unsigned bits, colour space 5"),
        (tiff(RGB8)[:9], "damaged or cut short"),
        (tiff(RGB16)[:-30], "damaged or cut short"),
        (tiff(ramp(16), t256=60000, t257=60000), "60000 x 60000 pixels, more than the limit"),
        (tiff(ramp(16), t256=0), "0 x 6 pixels"),
        (b"II*\0\0\0\0\0", "it has no page"),
        (b"II+\0\x08\0\0\0" + b"\xff" * 8, "it ends within its header"),
        (b"II+\0\x08\0\0\0\x10" + b"\0" * 7 + b"\xff" * 8, "it ends within its header"),
        (b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "its pages are a loop"),
    ],
)
def test_other_forms_are_refused_with_what_they_are(file: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_frame(file)


def test_pages_are_told_and_read_one_by_one_without_thumbnails(tmp_path: Path) -> None:
    def page(pixels: Any, subfile: int = 0) -> Any:
        height, width = pixels.shape
        tags = {254: subfile, 256: width, 257: height, 258: 16, 259: 1, 262: 1, 277: 1, 278: height}
        return pixels.tobytes(), tags

    first, second = ramp(12), ramp(12)[::-1].copy()
    path = tmp_path / "pages.tif"
    path.write_bytes(tiff_of([page(first), page(first[::2, ::2].copy(), 1), page(second)]))
    assert frame_count(path.read_bytes(), "pages") == 2
    with pytest.raises(InputError, match="has 2 frames; pass them one by one"):
        as_frame(path)
    with pytest.raises(InputError, match="has 2 frames; there is no frame 2"):
        decode_frame(path.read_bytes(), "pages", 2)
    frames = list(read_frames(path))
    np.testing.assert_array_equal(frames[0].pixels, first)
    np.testing.assert_array_equal(frames[1].pixels, second)
