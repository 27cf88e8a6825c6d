"""More than 8 bits by every route: tensors computed by hand where a mapping is stated, else an error."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import as_frame, as_image, decode_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.levels import percentiles_of
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.tensors import Quantization, TensorSpec
from image_files import dicom, png, ramp, tiff


def _path(suffix: str, write: Callable[[Any], bytes]) -> Callable[[Any, Path], Any]:
    def route(pixels: Any, folder: Path) -> Any:
        path = folder / f"image{suffix}"
        path.write_bytes(write(pixels))
        return path

    return route


def _pil(pixels: Any, folder: Path) -> Any:
    return Image.open(io.BytesIO(png(pixels)))


def _dicom(pixels: Any) -> bytes:
    pytest.importorskip("pydicom")
    return dicom(pixels)


#: From the values of an image to each form in which a model may be given them.
ROUTES: dict[str, Callable[[Any, Path], Any]] = {
    "path": _path(".png", png),
    "bytes": lambda pixels, folder: png(pixels),
    "array": lambda pixels, folder: pixels,
    "array of another type": lambda pixels, folder: pixels.astype(np.int32),
    "PIL": _pil,
    "TIFF": _path(".tif", tiff),
    "TIFF, big-endian": lambda pixels, folder: tiff(pixels, big_endian=True),
    "BigTIFF": lambda pixels, folder: tiff(pixels, big=True),
    "DICOM": _path(".dcm", _dicom),
}
#: Statement -> from values to shares of white, computed by hand.
STATEMENTS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "10 bits": ({"bit_depth": 10}, lambda p: p / 1023),
    "12 bits": ({"bit_depth": 12}, lambda p: p / 4095),
    "14 bits": ({"bit_depth": 14}, lambda p: p / 16383),
    "16 bits": ({"bit_depth": 16}, lambda p: p / 65535),
    "range": ({"pixel_range": (-100.0, 5000.0)}, lambda p: (p + 100) / 5100),
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), between its ends
    "window": ({"window": (500, 401)}, lambda p: np.clip((p - 499.5) / 400 + 0.5, 0, 1)),
    "percentiles": (
        {"window_percentiles": (10, 90)},
        lambda p: np.clip((p - np.percentile(p, 10)) / (np.percentile(p, 90) - np.percentile(p, 10)), 0, 1),
    ),
}
LAYOUTS = {"nhwc": (1, 6, 8, 1), "nchw": (1, 1, 6, 8)}


def tensor_of(image: Any, preprocessing: Preprocessing, dtype: str = "float32", **spec: Any) -> Any:
    shape = (1, *preprocessing.image_shape)
    out = np.zeros(shape, dtype)
    Preprocessor(preprocessing, TensorSpec("x", shape, dtype, **spec)).put(as_frame(image), out[0])
    return out[0]


def grey(**fields: Any) -> Preprocessing:
    return Preprocessing(**{"size_wh": (8, 6), "value_range": (0.0, 1.0), "color": "gray", **fields})


def _bits(statement: str) -> int:
    return int(statement.split(maxsplit=1)[0]) if statement.endswith("bits") else 10


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("statement", STATEMENTS)
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_gives_the_tensor_computed_by_hand(
    route: str, statement: str, layout: str, tmp_path: Path
) -> None:
    fields, shares = STATEMENTS[statement]
    pixels = ramp(_bits(statement))
    image = ROUTES[route](pixels, tmp_path)
    preprocessing = grey(value_range=(-1.0, 1.0), mean=(0.25,), scale=(2.0,), layout=layout, **fields)
    expected = ((-1 + 2 * shares(pixels.astype(np.float64))) - 0.25) / 2
    got = tensor_of(image, preprocessing)
    np.testing.assert_allclose(got.reshape(6, 8), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_refused_where_nothing_is_stated(route: str, tmp_path: Path) -> None:
    image = ROUTES[route](ramp(12), tmp_path)
    for refused in (lambda: tensor_of(image, grey()), lambda: as_image(image)):
        with pytest.raises(InputError, match=r"values of \d\d bits per channel; say how .* --bit-depth 12"):
            refused()


@pytest.mark.parametrize("route", ["path", "array", "TIFF", "DICOM"])
@pytest.mark.parametrize("wanted", ["rgb", "bgr", "gray"])
def test_colours_keep_their_order_and_their_bits(route: str, wanted: str, tmp_path: Path) -> None:
    pixels = np.stack([ramp(16), ramp(16)[::-1], np.full((6, 8), 777, np.uint16)], axis=2)
    got = tensor_of(ROUTES[route](pixels, tmp_path), grey(color=wanted, bit_depth=16))
    shares = pixels / 65535
    weights = np.array([0.299, 0.587, 0.114])
    expected = {"rgb": shares, "bgr": shares[:, :, ::-1], "gray": (shares @ weights)[:, :, np.newaxis]}[
        wanted
    ]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-7)


@pytest.mark.parametrize("interpolation", ["bilinear", "area"])
def test_neither_resize_nor_values_lose_a_bit(interpolation: str) -> None:
    pixels = ramp(16, (12, 16))
    halves = pixels.reshape(6, 2, 8, 2).mean(axis=(1, 3))
    got = tensor_of(pixels, grey(bit_depth=16, interpolation=interpolation, value_range=(0.0, 65535.0)))
    np.testing.assert_array_equal(got[:, :, 0], halves.astype(np.float32))
    nearest = tensor_of(pixels, grey(bit_depth=16, interpolation="nearest", value_range=(0.0, 65535.0)))
    np.testing.assert_array_equal(nearest[:, :, 0], pixels[1::2, 1::2])


def test_a_window_clips_before_the_resize() -> None:
    pixels = np.array([[0, 4000], [0, 4000]], np.uint16)
    got = tensor_of(pixels, grey(size_wh=(1, 1), window=(100, 101)))
    assert got.item() == pytest.approx(0.5)  # the mean of black and white, not the share of 2000


@pytest.mark.parametrize(("pad_value", "expected"), [(0, 0.0), (255, 1.0), (51, 0.2)])
def test_letterbox_borders_have_their_share_of_white(pad_value: int, expected: float) -> None:
    how = grey(size_wh=(8, 8), resize="letterbox", pad_value=pad_value, bit_depth=12)
    got = tensor_of(np.full((4, 8), 2000, np.uint16), how)[:, :, 0]
    np.testing.assert_allclose(got[[0, 1, 6, 7]], expected, atol=1e-7)
    np.testing.assert_allclose(got[2:6], 2000 / 4095, atol=1e-7)


def test_integer_tensors_are_quantized_once() -> None:
    pixels, quantization = ramp(12), Quantization(1 / 255, -128)
    got = tensor_of(pixels, grey(bit_depth=12), "int8", quantization=quantization)
    np.testing.assert_array_equal(got[:, :, 0], np.rint(pixels / 4095 * 255) - 128)


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_of_sixteen_bits_take_the_values_as_they_are(dtype: str, layout: str) -> None:
    deep = grey(bit_depth=16, value_range=(0.0, 65535.0), layout=layout)
    np.testing.assert_array_equal(tensor_of(ramp(16), deep, dtype).reshape(6, 8), ramp(16))
    eight = np.stack([ramp(8), ramp(8)[::-1], ramp(8)[:, ::-1]], axis=2).astype(np.uint8)
    plain = grey(color="rgb", value_range=(0.0, 65535.0), layout=layout)
    expected = eight.astype(int) * 257
    got = tensor_of(eight, plain, dtype)
    np.testing.assert_array_equal(got, expected if layout == "nhwc" else expected.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("image", "fields", "message"),
    [
        (ramp(12), {"bit_depth": 10}, r"values of 0…4095, .* bit depth 10, .* 0…1023"),
        (ramp(12), {"pixel_range": (1, 4095)}, r"values of 0…4095, .* pixel range 1, 4095"),
        (ramp(12).astype(np.int16) - 5, {"bit_depth": 12}, r"values of -5…4090"),
        (ramp(8).astype(np.uint8), {"bit_depth": 12}, r"has 8 bits .* bit depth 12: .* too dark"),
        (ramp(8), {}, r"say how values become black and white: .*--window CENTER,WIDTH \(or file, "),
        (np.full((4, 4), 9, np.uint16), {"window_percentiles": (1, 99)}, r"percentiles are both 9"),
        (np.full((4, 4), np.nan, np.float32), {"window": (0, 9)}, r"NaN or infinite"),
        (ramp(8) / 255, {"bit_depth": 8}, r"floating-point values of 64 bits"),
        (ramp(8) / 255, {"bit_depth": 12}, r"for whole numbers; state --pixel-range"),
        (ramp(12), {"window": "file"}, r"has no window of its own"),
        (tiff(np.zeros((4, 4), np.uint8)), {"bit_depth": 12}, r"has 8 bits per channel"),
    ],
)  # fmt: skip
def test_what_is_stated_and_not_so_is_refused(image: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tensor_of(image, grey(**fields))


def test_eight_bits_that_are_stated_are_those_of_any_array() -> None:
    pixels = ramp(8)
    plain = tensor_of(pixels.astype(np.uint8), grey())
    for image in (pixels, pixels.astype(np.uint8)):
        np.testing.assert_allclose(tensor_of(image, grey(bit_depth=8)), plain, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_by_their_range_or_a_window(dtype: Any) -> None:
    values = np.linspace(-2, 2, 48).reshape(6, 8).astype(dtype)
    got = tensor_of(values, grey(pixel_range=(-2, 2)))
    np.testing.assert_allclose(got[:, :, 0], (values.astype(np.float64) + 2) / 4, atol=1e-6)
    windowed = tensor_of(values, grey(window=(0.5, 3)))
    np.testing.assert_allclose(windowed[:, :, 0], np.clip(values / 2 + 0.5, 0, 1), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_percentiles_are_those_of_numpy(size: int, dtype: Any) -> None:
    values = np.random.default_rng(size).integers(0, 90, size).astype(dtype)
    for wanted in ((0.0, 100.0), (1.0, 99.0), (12.5, 50.0), (33.3, 66.6)):
        np.testing.assert_allclose(percentiles_of(values, wanted), np.percentile(values, wanted), rtol=1e-6)


def test_a_frame_with_known_levels_needs_no_statement() -> None:
    shares = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    for how in (grey(), grey(bit_depth=12)):
        got = tensor_of(Frame(shares, "gray", levels=(0.0, 1.0)), how)
        np.testing.assert_allclose(got[:, :, 0], shares, atol=1e-7)


def test_an_image_at_the_networks_size_gives_the_same_tensor_as_the_image() -> None:
    pixels = ramp(12, (30, 40)) ** 2 % 4096
    for fields in ({"bit_depth": 12}, {"window_percentiles": (5, 95)}, {"window": (900, 800)}):
        how = grey(resize="letterbox", **fields)
        small = how.resized(Frame(pixels, "gray"))
        np.testing.assert_array_equal(tensor_of(small, how), tensor_of(pixels, how))


def test_pil_images_that_pil_has_cut_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(png(np.dstack([ramp(16)] * 3)))
    with Image.open(path) as opened:
        for _ in ("unread", "read"):
            with pytest.raises(
                InputError, match="more than 8 bits per channel, which PIL cuts; pass its path"
            ):
                as_frame(opened)
            opened.load()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bit_depth": 7}, "bit_depth: expected a whole number in 8…16, got 7"),
        ({"bit_depth": 12.5}, "bit_depth"),
        ({"bit_depth": True}, "bit_depth"),
        ({"window": (40, 1)}, "window: expected a centre and a width above 1"),
        ({"window": "auto"}, "window: .* or 'file'"),
        ({"window_percentiles": (99, 1)}, "window_percentiles: expected a low percentile and a higher one"),
        ({"window_percentiles": (-1, 99)}, "window_percentiles"),
        ({"pixel_range": (1, 1)}, "pixel_range: expected a low number, then a higher one"),
        ({"pixel_range": (0, float("nan"))}, "pixel_range"),
        ({"bit_depth": 12, "window": (40, 400)}, "bit_depth and window: each says .*; keep one"),
    ],
)
@pytest.mark.parametrize("make", [grey, InputOptions])
def test_an_invalid_statement_is_refused(make: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make(**fields)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_is_in_the_manifest_and_back(statement: str) -> None:
    preprocessing = grey(**STATEMENTS[statement][0])
    assert Preprocessing.from_dict(preprocessing.to_dict(), "m") == preprocessing


def test_a_manifest_without_a_statement_is_as_before() -> None:
    document = grey().to_dict()
    assert not {"bit_depth", "pixel_range", "window", "window_percentiles"} & set(document)
    assert Preprocessing.from_dict(document, "m") == grey()
    with pytest.raises(OptionError, match="m: unknown field 'bitdepth'"):
        Preprocessing.from_dict({**document, "bitdepth": 12}, "m")
    with pytest.raises(OptionError, match="m: .*bit_depth: expected a whole number in 8…16, got 99"):
        Preprocessing.from_dict({**document, "bit_depth": 99}, "m")


def test_an_exif_orientation_turns_sixteen_bits_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(ramp(12)).copy()).save(buffer, "PNG", exif=exif.tobytes())
    for image in (buffer.getvalue(), Image.open(buffer)):
        np.testing.assert_array_equal(as_frame(image).pixels, ramp(12))
    np.testing.assert_array_equal(decode_frame(tiff(np.rot90(ramp(12)), t274=6), "t").pixels, ramp(12))
