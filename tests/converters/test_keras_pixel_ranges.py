"""Pixels between two levels of int8: each runtime still tells neighbours apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, read

from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.quantization.pixel_ranges import least_error_range
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS = {"tflite": TfliteConverter(), "openvino": OpenVINOConverter(), "onnx": OnnxConverter()}
BYTES = np.arange(256, dtype=np.float32)


def slopes(count: int, seed: int) -> Any:
    """Planes of up to two grey levels per pixel: (count, 16, 16, 1) in 0…255."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:16, :16] - 8
    across, down = rng.uniform(-2, 2, (2, count, 1, 1))
    images = rng.uniform(40, 210, (count, 1, 1)) + across * column + down * row
    return np.round(images)[..., None].astype(np.float32)


def differences(keras: Any, folder: Path, scaled_inside: bool) -> Any:
    """A network that returns differences of neighbours."""
    image = keras.Input((16, 16, 1), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image) if scaled_inside else image
    convolution = keras.layers.Conv2D(4, 3, name="scores")
    model = keras.Model(image, convolution(x))
    kernel = np.random.default_rng(4).normal(0, 1, (3, 3, 1, 4))
    convolution.set_weights([kernel - kernel.mean(axis=(0, 1)), np.zeros(4)])
    model.save(folder / "differences.keras")
    return read(folder / "differences.keras")


@pytest.mark.parametrize("scaled_inside", [False, True])
@pytest.mark.parametrize("format_", CONVERTERS)
def test_neighbours_of_one_grey_level_stay_apart(
    keras: Any, tmp_path: Path, format_: str, scaled_inside: bool
) -> None:
    source = differences(keras, tmp_path, scaled_inside)
    # Black and white images set the range. The first is blank: it tells no two tensors apart.
    flat = np.stack([np.full((16, 16, 1), value, np.float32) for value in (0, 255)])
    calibration, images = np.concatenate([flat, slopes(40, seed=1), flat]), slopes(60, seed=2)
    if not scaled_inside:
        calibration, images = calibration / 127.5 - 1, images / 127.5 - 1
    artifact = CONVERTERS[format_].convert(source, "int8", calibration_for(source, calibration))
    expected = source.run({"image": images})["scores"]
    error = np.mean((artifact_answers(artifact, images)["scores"] - expected) ** 2)
    assert error <= 0.02 * expected.var(axis=0).mean()


def rounded(values: Any) -> Any:
    """The values on the levels of their range."""
    low, high = least_error_range(values)
    step = (high - low) / 255
    return (np.rint(values / step) * step).clip(low, high)


@pytest.mark.parametrize("values", [BYTES, BYTES / 255, BYTES - 128, BYTES / 255 * 2.5], ids=str)
def test_pixels_that_int8_has_levels_for_are_exact(values: Any) -> None:
    np.testing.assert_allclose(rounded(values), values, atol=1e-5 * np.abs(values).max())


@pytest.mark.parametrize("offset", [0.5, 0.45, 0.55])
def test_pixels_between_levels_have_a_third_of_the_error(offset: float) -> None:
    values = BYTES - 128 + offset
    low, high = least_error_range(values)
    assert low <= values.min() + 0.5
    assert high >= values.max() - 0.5
    assert abs(low / ((high - low) / 255) % 1) < 1e-9
    assert np.mean((rounded(values) - values) ** 2) <= 0.1
    assert len(np.unique(rounded(values))) >= 254


def test_values_between_pixels_have_all_levels() -> None:
    values = np.random.default_rng(0).uniform(-1, 2, 10_000)
    assert least_error_range(values) == (values.min(), values.max())


def test_an_input_that_never_changes_has_a_range() -> None:
    assert least_error_range(np.zeros(9)) == (0.0, 0.0)
    assert least_error_range(np.full(9, -3.0)) == (-3.0, 0.0)
