"""The input of a network is read from the model or stated by the caller, never guessed."""

from __future__ import annotations

import pytest

from edgevision.errors import OptionError
from edgevision.imaging.input_options import InputOptions, StatedNormalization, resolve_preprocessing
from edgevision.tensors import Quantization, TensorSpec

RGB = TensorSpec("image", (None, 32, 48, 3), "float32")


def test_the_statements_of_the_model_are_used() -> None:
    result = resolve_preprocessing(
        RGB, InputOptions(), StatedNormalization((0.0, 255.0), (127.5,), (127.5,)), "m"
    )
    assert (result.size_wh, result.layout, result.color) == ((48, 32), "nhwc", "rgb")
    assert (result.value_range, result.mean, result.scale) == (
        (0.0, 255.0),
        (127.5,),
        (127.5,),
    )


def test_the_caller_overrides_the_model() -> None:
    options = InputOptions(value_range=(-1.0, 1.0), color="bgr", resize="letterbox", pad_value=114)
    result = resolve_preprocessing(RGB, options, StatedNormalization((0.0, 255.0), (127.5,), (127.5,)), "m")
    assert (result.value_range, result.mean, result.scale) == (
        (-1.0, 1.0),
        (0.0,),
        (1.0,),
    )
    assert (result.color, result.resize, result.pad_value) == ("bgr", "letterbox", 114)


def test_a_keras_applications_family_determines_all_values() -> None:
    result = resolve_preprocessing(RGB, InputOptions(applications="vgg16"), None, "m")
    assert (result.color, result.mean) == ("bgr", (103.939, 116.779, 123.68))


def test_a_family_and_a_range_contradict_each_other() -> None:
    with pytest.raises(OptionError, match="remove value_range"):
        InputOptions(applications="vgg16", value_range=(0.0, 1.0))


def test_an_unknown_value_range_is_refused_with_the_option_to_pass() -> None:
    with pytest.raises(OptionError, match=r"m\.keras: the model does not say .* pass --input-range 0\.\.255"):
        resolve_preprocessing(RGB, InputOptions(), None, "m.keras")


def test_a_uint8_input_without_quantization_expects_pixels_and_a_quantized_one_may_expect_anything() -> None:
    plain = TensorSpec("image", (1, 8, 8, 3), "uint8")
    assert resolve_preprocessing(plain, InputOptions(), None, "m").value_range == (0.0, 255.0)
    quantized = TensorSpec("image", (1, 8, 8, 3), "uint8", Quantization(1 / 128, 128))
    with pytest.raises(OptionError, match="--input-range"):
        resolve_preprocessing(quantized, InputOptions(), None, "m")


@pytest.mark.parametrize(
    ("shape", "layout", "size_wh", "color"),
    [
        ((None, 32, 48, 1), "nhwc", (48, 32), "gray"),
        ((1, 3, 32, 48), "nchw", (48, 32), "rgb"),
        ((1, 1, 32, 48), "nchw", (48, 32), "gray"),
        ((1, 3, 3, 3), "nhwc", (3, 3), "rgb"),
    ],
)
def test_layout_size_and_channels_are_read_from_the_shape(shape, layout, size_wh, color) -> None:
    result = resolve_preprocessing(
        TensorSpec("x", shape, "float32"), InputOptions(value_range=(0.0, 1.0)), None, "m"
    )
    assert (result.layout, result.size_wh, result.color) == (layout, size_wh, color)


@pytest.mark.parametrize("shape", [(None, 10), (None, 32, 32, 4), (None, 32, 32), (1, None, 32, 3)])
def test_an_input_that_is_no_image_is_refused(shape) -> None:
    with pytest.raises(OptionError, match="expected an image"):
        resolve_preprocessing(
            TensorSpec("x", shape, "float32"), InputOptions(value_range=(0.0, 1.0)), None, "m"
        )


def test_a_colour_that_the_channels_cannot_hold_is_refused() -> None:
    with pytest.raises(OptionError, match="has 3 channels, which cannot hold color 'gray'"):
        resolve_preprocessing(RGB, InputOptions(value_range=(0.0, 1.0), color="gray"), None, "m")


def test_the_way_of_resizing_is_the_callers_else_the_models_else_stretch() -> None:
    stated = StatedNormalization((0.0, 1.0), resize="center-crop", interpolation="area")
    own = resolve_preprocessing(RGB, InputOptions(), stated, "m")
    assert (own.resize, own.interpolation) == ("center-crop", "area")
    told = resolve_preprocessing(RGB, InputOptions(resize="stretch", interpolation="nearest"), stated, "m")
    assert (told.resize, told.interpolation) == ("stretch", "nearest")
    silent = resolve_preprocessing(RGB, InputOptions(), StatedNormalization((0.0, 1.0)), "m")
    assert (silent.resize, silent.interpolation) == ("stretch", "bilinear")


def test_an_interpolation_that_devices_do_not_have_is_asked_for() -> None:
    stated = StatedNormalization((0.0, 1.0), interpolation="bicubic with antialiasing")
    with pytest.raises(OptionError, match="resized by bicubic with antialiasing.*--interpolation area"):
        resolve_preprocessing(RGB, InputOptions(), stated, "m")
    told = resolve_preprocessing(RGB, InputOptions(interpolation="area"), stated, "m")
    assert told.interpolation == "area"
