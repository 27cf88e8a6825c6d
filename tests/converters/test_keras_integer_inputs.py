"""Models whose input has another dtype than float32: camera frames of bytes above all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read

from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS


def source_of(keras: Any, folder: Path, dtype: str) -> Any:
    keras.utils.set_random_seed(6)
    image = keras.Input((16, 16, 3), name="image", dtype=dtype)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 64)(image))
    x = keras.layers.Dense(4, name="scores")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(image, x).save(folder / "model.keras")
    return read(folder / "model.keras")


@pytest.mark.parametrize("precision", ["int8", "int8-float-io"])
@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float64"]
)
def test_int8_takes_whole_pixel_values_exactly(
    keras: Any, tmp_path: Path, dtype: str, precision: str
) -> None:
    source = source_of(keras, tmp_path, dtype)
    images = np.round(coloured_images(40, seed=51)[0]) - (128 if dtype == "int8" else 0)
    artifact = TfliteConverter().convert(source, precision, calibration_for(source, images[:24]))
    assert artifact.quantization is not None
    assert artifact.quantization.float_operations == ()
    found = artifact_answers(artifact, images[24:])["scores"]
    expected = source.run({"image": images[24:]})["scores"]
    assert np.mean((found - expected) ** 2) <= 0.005 * expected.var(axis=0).mean()


def test_the_steps_of_a_byte_input_are_whole_whatever_the_calibration_images(
    keras: Any, tmp_path: Path
) -> None:
    source = source_of(keras, tmp_path, "uint8")
    dark = np.round(coloured_images(16, seed=52)[0] / 3)
    artifact = TfliteConverter().convert(source, "int8", calibration_for(source, dark))
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=artifact.content)
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, -128)


def test_an_int8_input_keeps_its_negative_values(keras: Any, tmp_path: Path) -> None:
    source = source_of(keras, tmp_path, "int8")
    low, zero = (
        source.run({"image": np.full((1, 16, 16, 3), value, np.float32)})["scores"] for value in (-100, 0)
    )
    assert np.abs(low - zero).max() > 0.01


def test_a_clip_of_the_model_itself_is_kept(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((16, 16, 3), name="image", dtype="uint8")
    x = keras.ops.minimum(keras.ops.cast(image, "float32"), 100.0)
    x = keras.layers.Dense(4, name="scores")(keras.layers.GlobalAveragePooling2D()(x / 100.0))
    keras.Model(image, x).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    images = np.round(coloured_images(24, seed=53)[0])
    artifact = TfliteConverter().convert(source, "int8", calibration_for(source, images))
    flat = np.full((2, 16, 16, 3), 100, np.float32)
    flat[1] = 250
    bright, brighter = artifact_answers(artifact, flat)["scores"]
    np.testing.assert_array_equal(bright, brighter)
