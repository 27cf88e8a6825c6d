"""Preprocessing gives the same numbers as the training pipeline."""

from __future__ import annotations

import json
import threading
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.decode import read_image
from edgevision.imaging.preprocess import (
    DTYPES,
    INTERPOLATIONS,
    RESIZE_MODES,
    Preprocessing,
    Preprocessor,
    keras_applications_preprocessing,
    pixel_table,
)
from edgevision.imaging.resize import center_crop_xywh, letterbox_xywh
from edgevision.tensors import Quantization, TensorSpec

# (h, w) of the image, (height, width) of the tensor: smaller, larger, both at once, the same, one
# pixel, one line, and a ratio with ties (640 to 224).
SIZES = [
    ((480, 640), (224, 224)),
    ((37, 53), (224, 224)),
    ((100, 50), (33, 77)),
    ((31, 17), (10, 40)),
    ((7, 5), (32, 32)),
    ((32, 32), (32, 32)),
    ((64, 64), (16, 16)),
    ((333, 211), (96, 64)),
    ((1, 1), (8, 8)),
    ((1, 300), (12, 12)),
]


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, channels), np.uint8)


def spec_of(
    preprocessing: Preprocessing, dtype: str = "uint8", how: Quantization | None = None
) -> TensorSpec:
    return TensorSpec("image", (None, *preprocessing.image_shape), dtype, how)


def preprocessed(
    image: NDArray[np.uint8],
    preprocessing: Preprocessing,
    dtype: str = "uint8",
    how: Quantization | None = None,
    color: str = "rgb",
) -> NDArray[Any]:
    out = np.full(preprocessing.image_shape, 77, dtype)
    Preprocessor(preprocessing, spec_of(preprocessing, dtype, how))(image, out, color)
    return out


def as_it_is(size_hw: tuple[int, int], **fields: Any) -> Preprocessing:
    return Preprocessing(**{"size_wh": size_hw[::-1], "value_range": (0.0, 255.0), **fields})


# --- what pixels become -----------------------------------------------------------------------


@pytest.mark.parametrize("size_hw", [(20, 30), (7, 9)])
def test_pixels_stay_as_they_are_in_a_uint8_tensor_of_0_to_255(size_hw: tuple[int, int]) -> None:
    image = noise(*size_hw)
    assert np.array_equal(preprocessed(image, as_it_is(size_hw)), image)
    assert np.array_equal(preprocessed(image, as_it_is(size_hw), "uint8", Quantization(1.0, 0)), image)


def test_int8_of_0_to_255_is_the_pixel_minus_128() -> None:
    image = noise(20, 30)
    tensor = preprocessed(image, as_it_is((20, 30)), "int8", Quantization(1.0, -128))
    assert np.array_equal(tensor, image.astype(int) - 128)


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize(
    "values",
    [
        {"value_range": (0.0, 255.0)},
        {"value_range": (0.0, 1.0)},
        {"value_range": (-1.0, 1.0)},
        {"value_range": (0.0, 1.0), "mean": (0.485, 0.456, 0.406), "scale": (0.229, 0.224, 0.225)},
        {"value_range": (0.0, 255.0), "mean": (127.5,), "scale": (127.5,)},
        {"value_range": (0.0, 255.0), "mean": (103.939, 116.779, 123.68)},
    ],
)
def test_values_are_those_of_the_formula(values: Any, dtype: str, layout: str, color: str) -> None:
    image = noise(9, 11)
    preprocessing = as_it_is((9, 11), color=color, layout=layout, **values)
    low, high = preprocessing.value_range
    ends = [
        (end - mean) / scale
        for end in (low, high)
        for mean, scale in zip(preprocessing.mean, cycle(preprocessing.scale), strict=False)
    ]
    # Nine tenths of the values, so that some are clipped.
    step = (max(ends) - min(ends)) * 0.9 / 255
    how = {
        "uint8": Quantization(step, round(-min(ends) / step)),
        "int8": Quantization(step, round(-min(ends) / step) - 128),
        "int16": Quantization(step / 100, 0),
        "int32": Quantization(step / 1000, 0),
        "uint16": Quantization(step / 100, round(-min(ends) / step * 100)),
    }
    tensor = preprocessed(image, preprocessing, dtype, how.get(dtype))

    expected = image[:, :, ::-1] if color == "bgr" else image
    real = (low + expected / 255 * (high - low) - np.array(preprocessing.mean)) / np.array(
        preprocessing.scale
    )
    if layout == "nchw":
        real = real.transpose(2, 0, 1)
    if dtype in how:
        limits = np.iinfo(dtype)
        integers = np.rint(real / how[dtype].scale) + how[dtype].zero_point
        assert np.abs(tensor - integers.clip(limits.min, limits.max)).max() <= (dtype == "int16")
    else:
        np.testing.assert_allclose(tensor, real, rtol=1e-3 if dtype == "float16" else 1e-6, atol=1e-6)


def test_quantizing_rounds_half_to_even_and_clips() -> None:
    spec = TensorSpec("image", (1, 1, 1, 3), "int8", Quantization(2.0, -100))
    table = pixel_table(as_it_is((1, 1)), spec)[:, 0]
    assert table[:8].tolist() == [-100, -100, -99, -98, -98, -98, -97, -96]
    assert table[255] == min(127, round(127.5) - 100)
    shifted = TensorSpec("image", (1, 1, 1, 3), "uint8", Quantization(1.0, 10))
    assert pixel_table(as_it_is((1, 1)), shifted)[-12:, 0].tolist() == [254] + [255] * 11


@settings(deadline=None)
@given(
    scale=st.floats(1e-3, 10),
    zero_point=st.integers(-128, 127),
    low=st.floats(-10, 10),
    width=st.floats(0.01, 300),
)
def test_an_integer_tensor_stands_for_the_value_within_half_a_step(
    scale: float, zero_point: int, low: float, width: float
) -> None:
    spec = TensorSpec("image", (1, 1, 1, 3), "int8", Quantization(scale, zero_point))
    preprocessing = Preprocessing((1, 1), (low, low + width))
    real = low + np.arange(256) / 255 * width
    integers = (np.rint(real / scale) + zero_point).clip(-128, 127)
    counts = np.unique(integers, return_counts=True)[1]
    if counts.max() >= 128 or len(counts) <= 16:
        with pytest.raises(OptionError, match="the 256 pixel values become"):
            pixel_table(preprocessing, spec)
        return
    table = pixel_table(preprocessing, spec)[:, 0].astype(np.float64)
    inside = (table > -128) & (table < 127)
    assert np.abs((table - zero_point) * scale - real)[inside].max(initial=0) <= scale * 0.5 + 1e-6
    assert (np.diff(table) >= 0).all()


@pytest.mark.parametrize(
    ("preprocessing", "spec", "message"),
    [
        (
            as_it_is((1, 1)),
            TensorSpec("image", (1, 1, 1, 3), "uint8", Quantization(1 / 128, 128)),
            r"255 of the 256 pixel values become 255 by the normalization \(value range 0\.\.255, mean 0, "
            r"scale 1\) for this uint8 input with scale 0\.0078125, zero point 128",
        ),
        (
            as_it_is((1, 1), value_range=(0.0, 1.0)),
            TensorSpec("image", (1, 1, 1, 3), "uint8"),
            "128 of the 256 pixel values become 0",
        ),
        (
            as_it_is((1, 1), value_range=(0.0, 4.0)),
            TensorSpec("image", (1, 1, 1, 3), "uint8"),
            "the 256 pixel values become 5 values",
        ),
        (
            as_it_is((1, 1), mean=(0.0, 0.0, 1e6)),
            TensorSpec("image", (1, 1, 1, 3), "int8", Quantization(1.0, -128)),
            "256 of the 256 pixel values become -128",
        ),
        (as_it_is((1, 1), mean=(1e12,)), TensorSpec("image", (1, 1, 1, 3), "float32"), "256 of the 256"),
    ],
)
def test_values_under_which_an_image_is_lost_are_refused(
    preprocessing: Preprocessing, spec: TensorSpec, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        pixel_table(preprocessing, spec)
    with pytest.raises(OptionError, match=r"--input-range LOW\.\.HIGH, --mean and --scale"):
        Preprocessor(preprocessing, spec)


def test_values_that_a_float16_tensor_cannot_hold_are_refused() -> None:
    preprocessing = as_it_is((4, 4), value_range=(0.0, 1e6))
    with pytest.raises(OptionError, match=r"'image': pixels become 0…1e\+06, which exceeds float16"):
        Preprocessor(preprocessing, spec_of(preprocessing, "float16"))


# --- colours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("wanted", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_bgr_frame_gives_the_same_tensor_as_in_rgb(mode: str, wanted: str, layout: str, dtype: str) -> None:
    image = noise(50, 40)
    preprocessing = as_it_is((20, 24), color=wanted, resize=mode, layout=layout, pad_value=9)
    frame = np.ascontiguousarray(image[:, :, ::-1])
    expected = preprocessed(image, preprocessing, dtype)
    assert np.array_equal(preprocessed(frame, preprocessing, dtype, color="bgr"), expected)
    assert np.array_equal(preprocessed(frame[:, :, ::-1], preprocessing, dtype), expected)


@pytest.mark.parametrize("wanted", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_a_grey_image_gives_the_same_value_in_every_channel(wanted: str, layout: str) -> None:
    image = noise(20, 24, 1)[:, :, 0]
    preprocessing = as_it_is((20, 24), color=wanted, layout=layout, value_range=(-1.0, 1.0))
    tensor = preprocessed(image, preprocessing, "float32", color="gray")
    planes = tensor if layout == "nchw" else tensor.transpose(2, 0, 1)
    for plane in planes:
        np.testing.assert_allclose(plane, image / 127.5 - 1, atol=1e-6)


def test_a_colour_image_becomes_grey_by_luminance() -> None:
    image = noise(8, 8)
    tensor = preprocessed(image, as_it_is((8, 8), color="gray"), "float32")
    assert np.abs(tensor[:, :, 0] - image @ np.array([0.299, 0.587, 0.114])).max() <= 0.51


# --- geometry ---------------------------------------------------------------------------------


def test_letterbox_keeps_the_aspect_and_fills_the_rest() -> None:
    image = np.full((10, 20, 3), 200, np.uint8)
    tensor = preprocessed(image, as_it_is((20, 20), resize="letterbox", pad_value=7))
    assert (tensor[5:15] == 200).all()
    assert (tensor[:5] == 7).all()
    assert (tensor[15:] == 7).all()


def test_letterbox_borders_are_quantized_as_every_pixel_is() -> None:
    image = np.full((20, 10, 3), 255, np.uint8)
    preprocessing = as_it_is((20, 20), resize="letterbox", value_range=(0.0, 1.0), pad_value=128)
    tensor = preprocessed(image, preprocessing, "int8", Quantization(1 / 255, -128))
    assert (tensor[:, :5] == 0).all()
    assert (tensor[:, 5:15] == 127).all()


def test_center_crop_cuts_off_the_excess() -> None:
    image = np.zeros((10, 30, 3), np.uint8)
    image[:, 10:20] = 255
    assert (preprocessed(image, as_it_is((10, 10), resize="center-crop")) == 255).all()


@pytest.mark.parametrize(
    ("image_wh", "out_wh", "letterbox", "crop"),
    [
        ((640, 480), (224, 224), (0, 28, 224, 168), (80, 0, 480, 480)),
        ((480, 640), (224, 224), (28, 0, 168, 224), (0, 80, 480, 480)),
        ((100, 100), (50, 50), (0, 0, 50, 50), (0, 0, 100, 100)),
        ((10, 10), (40, 20), (10, 0, 20, 20), (0, 2, 10, 5)),
        ((1000, 1), (10, 10), (0, 4, 10, 1), (499, 0, 1, 1)),
    ],
)
def test_the_position_of_the_image(
    image_wh: tuple[int, int], out_wh: tuple[int, int], letterbox: Any, crop: Any
) -> None:
    assert letterbox_xywh(image_wh, out_wh) == letterbox
    assert center_crop_xywh(image_wh, out_wh) == crop


sides = st.integers(1, 3000)


@settings(deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_the_image_lies_inside_for_any_size(image_wh: tuple[int, int], out_wh: tuple[int, int]) -> None:
    for (left, top, width, height), (outer_width, outer_height) in (
        (letterbox_xywh(image_wh, out_wh), out_wh),
        (center_crop_xywh(image_wh, out_wh), image_wh),
    ):
        assert min(left, top) >= 0
        assert min(width, height) >= 1
        assert left + width <= outer_width
        assert top + height <= outer_height


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("image_hw", "size_hw"), SIZES)
def test_a_uniform_image_stays_uniform(mode: str, interpolation: str, image_hw: Any, size_hw: Any) -> None:
    preprocessing = as_it_is(size_hw, resize=mode, interpolation=interpolation, pad_value=99)
    assert (preprocessed(np.full((*image_hw, 3), 99, np.uint8), preprocessing) == 99).all()


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("image_hw", "size_hw"), SIZES)
def test_an_image_that_was_resized_before_gives_the_same_tensor(
    mode: str, interpolation: str, image_hw: Any, size_hw: Any
) -> None:
    preprocessing = as_it_is(size_hw, resize=mode, interpolation=interpolation)
    image = noise(*image_hw)
    resized = preprocessing.resized(image)
    assert resized.shape == (*size_hw, 3)
    assert np.array_equal(preprocessed(resized, preprocessing), preprocessed(image, preprocessing))


def test_images_longer_than_opencvs_short_integers_are_resized() -> None:
    image = np.repeat(np.arange(40_000, dtype=np.uint32) // 200 % 256, 6).astype(np.uint8).reshape(-1, 2, 3)
    for interpolation in INTERPOLATIONS:
        tensor = preprocessed(image, as_it_is((4, 4), interpolation=interpolation))
        assert np.abs(tensor[:, 0, 0].astype(int) - [25, 75, 125, 175]).max() <= 1


def test_a_view_of_a_larger_frame_gives_the_same_tensor_as_its_copy() -> None:
    frame = noise(60, 80)
    part = frame[10:50:2, 20:60]
    for mode in RESIZE_MODES:
        preprocessing = as_it_is((16, 16), resize=mode)
        assert np.array_equal(preprocessed(part, preprocessing), preprocessed(part.copy(), preprocessing))


# --- the call ---------------------------------------------------------------------------------


def test_only_the_row_is_written_and_the_image_is_only_read() -> None:
    image = noise(50, 40)
    image.flags.writeable = False
    batch = np.full((3, 20, 24, 3), 77, np.uint8)
    preprocessing = as_it_is((20, 24))
    Preprocessor(preprocessing, spec_of(preprocessing))(image, batch[1])
    assert (batch[[0, 2]] == 77).all()
    assert np.array_equal(batch[1], preprocessed(image, preprocessing))


@pytest.mark.parametrize("color", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("wanted", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize(("dtype", "value_range"), [("uint8", (0.0, 255.0)), ("int8", (-1.0, 1.0))])
def test_pixels_that_pass_through_the_row_come_out_as_by_way_of_float(
    dtype: str, value_range: tuple[float, float], wanted: str, color: str
) -> None:
    image = noise(21, 34)[..., 0] if color == "gray" else noise(21, 34)
    how = Quantization(1.0, 0) if dtype == "uint8" else Quantization(2 / 255, 0)
    for size_hw in ((16, 12), (21, 34)):
        preprocessing = as_it_is(size_hw, value_range=value_range, color=wanted)
        real = preprocessed(image, preprocessing, "float32", color=color)
        expected = np.rint(real / how.scale).clip(-128, 255)
        result = preprocessed(image, preprocessing, dtype, how, color)
        assert np.abs(result - expected).max() <= (dtype == "int8"), "halves may round either way in float32"


def test_threads_that_share_a_preprocessor_get_their_own_images() -> None:
    preprocessing = as_it_is((64, 64), resize="letterbox", value_range=(-1.0, 1.0), color="bgr")
    shared_by_all = Preprocessor(preprocessing, spec_of(preprocessing, "float32"))
    images = [noise(100 + 7 * number, 90) for number in range(8)]
    expected = [preprocessed(image, preprocessing, "float32") for image in images]
    wrong: list[int] = []

    def work(number: int) -> None:
        out = np.empty(preprocessing.image_shape, np.float32)
        for _ in range(50):
            shared_by_all(images[number], out)
            if not np.array_equal(out, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("image", "color", "message"),
    [
        (np.zeros((4, 4), np.uint8), "rgb", r"rgb image: expected \(h, w, 3\) uint8, got \(4, 4\) uint8"),
        (np.zeros((4, 4, 3), np.uint8), "gray", r"gray image: expected \(h, w\)"),
        (np.zeros((4, 4, 3), np.float32), "rgb", "float32"),
        (np.zeros((0, 4, 3), np.uint8), "rgb", r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), "hsv", "color: expected one of rgb, bgr, gray, got 'hsv'"),
    ],
)
def test_a_wrong_image_is_refused(image: NDArray[Any], color: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        preprocessed(image, as_it_is((4, 4)), color=color)


@pytest.mark.parametrize(
    "row",
    [
        np.empty((1, 4, 4, 3), np.uint8),
        np.empty((4, 5, 3), np.uint8),
        np.empty((4, 4, 3), np.int8),
        np.empty((4, 8, 3), np.uint8)[:, ::2],
    ],
)
def test_a_row_that_would_not_be_written_in_place_is_refused(row: NDArray[Any]) -> None:
    preprocessing = as_it_is((4, 4))
    with pytest.raises(InputError, match=r"row of the input tensor: expected \(4, 4, 3\) uint8"):
        Preprocessor(preprocessing, spec_of(preprocessing))(noise(4, 4), row)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TensorSpec("x", (1, 4, 5, 3), "uint8"), r"expected \(batch, 4, 4, 3\).*got \(1, 4, 5, 3\) uint8"),
        (TensorSpec("x", (1, 3, 4, 4), "uint8"), r"size, layout and colour"),
        (TensorSpec("x", (None, 4, 4, 1), "uint8"), r"got \(batch, 4, 4, 1\)"),
        (TensorSpec("x", (4, 4, 3), "uint8"), r"expected \(batch"),
        (TensorSpec("x", (1, 4, 4, 3), "float64"), r"expected one of float32, .* got float64"),
    ],
)
def test_a_tensor_of_another_shape_or_dtype_is_refused(spec: TensorSpec, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Preprocessor(as_it_is((4, 4)), spec)


# --- the description --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size_wh": (0, 4)}, "size_wh: expected two whole numbers, 1 to 65535, got"),
        ({"size_wh": (4.0, 4)}, "size_wh"),
        ({"size_wh": (True, 4)}, "size_wh"),
        ({"size_wh": 4}, "size_wh"),
        ({"value_range": (1.0, 1.0)}, "value_range: expected a low number, then a higher one"),
        ({"value_range": (0.0, float("inf"))}, "value_range: expected two finite numbers"),
        ({"value_range": None}, "value_range"),
        (
            {"resize": "squash"},
            "resize: expected one of stretch, letterbox, corner-letterbox, center-crop, got 'squash'",
        ),
        ({"interpolation": "cubic"}, "interpolation: expected one of nearest, bilinear, area"),
        ({"color": "rgba"}, "color"),
        ({"layout": "hwc"}, "layout"),
        ({"mean": (1.0, 2.0)}, "mean: expected 1 or 3 finite numbers"),
        ({"mean": (float("nan"),)}, "mean"),
        ({"mean": ("1",)}, "mean"),
        ({"scale": (1.0, 0.0, 1.0)}, "scale: expected no 0"),
        ({"color": "gray", "mean": (1.0, 2.0, 3.0)}, "mean: expected 1 finite numbers"),
        ({"pad_value": 256}, "pad_value: expected a whole number in 0…255"),
        ({"pad_value": 0.5}, "pad_value"),
        ({"resize": ["stretch"]}, "resize"),
    ],
)
def test_a_wrong_field_is_named(fields: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        as_it_is((4, 4), **fields)


def test_a_description_survives_json() -> None:
    preprocessing = as_it_is((4, 5), **keras_applications_preprocessing("densenet"), resize="letterbox")
    text = json.dumps(preprocessing.to_dict())
    assert Preprocessing.from_dict(json.loads(text), "manifest") == preprocessing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "rgb"}, r"^m\.json: unknown field 'colour'; known fields: size_wh, "),
        ({"mean": None}, r"^m\.json: preprocessing: mean: expected 1 or 3"),
        ({"size_wh": [0, 1]}, r"^m\.json: preprocessing: size_wh"),
        ({"resize": {}}, r"^m\.json: preprocessing: resize"),
    ],
)
def test_a_description_that_was_changed_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Preprocessing.from_dict({**as_it_is((4, 4)).to_dict(), **change}, "m.json")


@pytest.mark.parametrize("name", as_it_is((4, 4)).to_dict())
def test_a_description_that_lacks_a_field_is_refused(name: str) -> None:
    data = as_it_is((4, 4)).to_dict()
    del data[name]
    with pytest.raises(OptionError, match=f"^m.json: field '{name}' is missing"):
        Preprocessing.from_dict(data, "m.json")


def test_a_description_that_is_not_an_object_is_refused() -> None:
    with pytest.raises(OptionError, match="expected an object with fields"):
        Preprocessing.from_dict(["size_wh"], "m.json")


# --- the training side ------------------------------------------------------------------------


@pytest.mark.convert
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("image_hw", "size_hw"), SIZES)
def test_stretch_is_tensorflows_resize(interpolation: str, image_hw: Any, size_hw: Any) -> None:
    import tensorflow as tf

    image = noise(*image_hw)
    expected = tf.image.resize(image, size_hw, method=interpolation).numpy()
    assert_same_pixels(
        preprocessed(image, as_it_is(size_hw, interpolation=interpolation)), expected, interpolation
    )


@pytest.mark.convert
@settings(deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 90), st.integers(1, 90))
def test_nearest_selects_the_pixels_that_tensorflow_selects(h: int, w: int, height: int, width: int) -> None:
    import tensorflow as tf

    image = noise(h, w)
    expected = tf.image.resize(image, (height, width), method="nearest").numpy()
    assert np.array_equal(preprocessed(image, as_it_is((height, width), interpolation="nearest")), expected)


@pytest.mark.convert
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("image_hw", "size_hw"), [case for case in SIZES if case[0] != (1, 300)])
def test_letterbox_is_tensorflows_resize_with_pad(interpolation: str, image_hw: Any, size_hw: Any) -> None:
    import tensorflow as tf

    image = noise(*image_hw)
    expected = tf.image.resize_with_pad(image, *size_hw, method=interpolation).numpy()
    preprocessing = as_it_is(size_hw, interpolation=interpolation, resize="letterbox")
    assert_same_pixels(preprocessed(image, preprocessing), expected, interpolation)


@pytest.mark.convert
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(("image_hw", "size_hw"), SIZES)
def test_center_crop_is_keras_resizing_with_crop(interpolation: str, image_hw: Any, size_hw: Any) -> None:
    import keras

    image = noise(*image_hw)
    layer = keras.layers.Resizing(*size_hw, interpolation=interpolation, crop_to_aspect_ratio=True)
    expected = np.asarray(layer(image.astype(np.float32)))
    preprocessing = as_it_is(size_hw, interpolation=interpolation, resize="center-crop")
    assert_same_pixels(preprocessed(image, preprocessing), expected, interpolation)


def assert_same_pixels(got: NDArray[Any], expected: NDArray[Any], interpolation: str) -> None:
    # TensorFlow keeps fractions, and OpenCV counts in 1/2048 of a pixel before it rounds.
    tolerance = 0.0 if interpolation == "nearest" else 1.0
    assert np.abs(got.astype(np.float32) - expected.astype(np.float32)).max() <= tolerance


@pytest.mark.convert
def test_keras_center_crop_of_a_smaller_square_is_the_middle_of_center_crop() -> None:
    import keras

    image = noise(40, 60)
    expected = np.asarray(keras.layers.CenterCrop(40, 40)(image.astype(np.float32)))
    assert np.array_equal(preprocessed(image, as_it_is((40, 40), resize="center-crop")), expected)


@pytest.mark.convert
def test_rescaling_and_normalization_give_the_same_values() -> None:
    import keras

    image = noise(20, 24)
    pixels = image.astype(np.float32)[np.newaxis]
    rescaled = np.asarray(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels))[0]
    np.testing.assert_allclose(
        preprocessed(image, as_it_is((20, 24), value_range=(-1.0, 1.0)), "float32"), rescaled, atol=1e-6
    )
    mean, variance = [120.0, 110.0, 100.0], [4000.0, 5000.0, 6000.0]
    normalized = np.asarray(keras.layers.Normalization(mean=mean, variance=variance)(pixels))[0]
    scale = tuple(float(np.sqrt(v)) for v in variance)
    np.testing.assert_allclose(
        preprocessed(image, as_it_is((20, 24), mean=tuple(mean), scale=scale), "float32"),
        normalized,
        atol=1e-5,
    )


@pytest.mark.convert
def test_every_family_of_keras_applications_is_preprocessed_as_keras_does() -> None:
    import keras

    image = noise(20, 24)
    families = [
        name
        for name in dir(keras.applications)
        if hasattr(getattr(keras.applications, name), "preprocess_input") and name != "imagenet_utils"
    ]
    assert len(families) >= 16
    for name in families:
        preprocess_input = getattr(keras.applications, name).preprocess_input
        expected = np.asarray(preprocess_input(image.astype(np.float32)[np.newaxis].copy()))[0]
        preprocessing = as_it_is((20, 24), **keras_applications_preprocessing(name))
        got = preprocessed(image, preprocessing, "float32")
        np.testing.assert_allclose(
            got, expected, atol=1e-4 if "vgg" in name or "resnet" in name else 1e-6, err_msg=name
        )


def test_an_unknown_family_is_refused_with_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"no preprocessing 'mobilnet_v2'; did you mean 'mobilenet_v2'\?"):
        keras_applications_preprocessing("mobilnet_v2")


@pytest.mark.convert
def test_a_photo_is_preprocessed_as_on_the_training_side(shared: Path) -> None:
    import tensorflow as tf

    photo = read_image(shared / "images" / "parrot.jpg")
    expected = tf.image.resize(photo, (224, 224)).numpy() / 127.5 - 1
    got = preprocessed(photo, as_it_is((224, 224), value_range=(-1.0, 1.0)), "float32")
    assert np.abs(got - expected).max() <= 1 / 127.5
    assert np.abs(got - expected).mean() <= 0.3 / 127.5


def test_a_corner_letterbox_puts_the_image_into_the_upper_left_corner() -> None:
    image = noise(20, 40)
    how = as_it_is((32, 32), resize="corner-letterbox", pad_value=114)
    tensor = preprocessed(image, how)
    centred = preprocessed(image, as_it_is((32, 32), resize="letterbox", pad_value=114))
    assert np.array_equal(tensor[:16], centred[8:24])
    assert (tensor[16:] == 114).all()
    tall = preprocessed(image.transpose(1, 0, 2).copy(), how)
    assert (tall[:, 16:] == 114).all()
