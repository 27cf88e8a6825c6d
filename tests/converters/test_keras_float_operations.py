"""int8 TFLite files that compute some operations in float: which, why, and as well as float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read

from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS


def classifier(keras: Any, folder: Path, inside: Callable[[Any], Any]) -> Any:
    """A small classifier with layers inside, as a source."""
    keras.utils.set_random_seed(5)
    image = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(8, 3, strides=2, name="first")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(8, 3, name="second", activation="relu")(inside(x))
    x = keras.layers.Dense(4, name="scores")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(image, x).save(folder / "model.keras")
    return read(folder / "model.keras")


def attention(keras: Any) -> Callable[[Any], Any]:
    layers = keras.layers

    def inside(x: Any) -> Any:
        rows = layers.Reshape((49, 8))(x)
        rows = layers.MultiHeadAttention(2, 4, name="attend")(rows, rows)
        return layers.Reshape((7, 7, 8))(rows)

    return inside


CASES = {
    "layer_normalization": lambda keras: keras.layers.LayerNormalization(name="inside"),
    "group_normalization": lambda keras: keras.layers.GroupNormalization(4, name="inside"),
    "instance_normalization": lambda keras: keras.layers.GroupNormalization(-1, name="inside"),
    "rms_normalization": lambda keras: keras.layers.RMSNormalization(name="inside"),
    "unit_normalization": lambda keras: keras.layers.UnitNormalization(name="inside"),
    "attention": attention,
    "elu": lambda keras: keras.layers.ELU(name="inside"),
    "prelu": lambda keras: keras.layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.3), shared_axes=[1, 2], name="inside"
    ),
    "hard_swish": lambda keras: keras.layers.Activation("hard_silu", name="inside"),
    "cosine": lambda keras: lambda x: keras.ops.cos(x),
}


@pytest.mark.parametrize("precision", ["int8", "int8-float-io"])
@pytest.mark.parametrize("name", CASES)
def test_an_int8_file_with_float_operations_agrees_with_the_source(
    keras: Any, tmp_path: Path, name: str, precision: str
) -> None:
    source = classifier(keras, tmp_path, CASES[name](keras))
    images = coloured_images(48, seed=41)[0]
    artifact = TfliteConverter().convert(source, precision, calibration_for(source, images[:32]))
    found = artifact_answers(artifact, images[32:])["scores"]
    expected = source.run({"image": images[32:]})["scores"]
    assert np.mean((found - expected) ** 2) <= 0.01 * expected.var(axis=0).mean()
    assert artifact.quantization is not None
    assert artifact.quantization.recipe == "edgevision"
    assert {each.operation for each in artifact.quantization.float_operations}.isdisjoint(
        {"CONV_2D", "FULLY_CONNECTED", "QUANTIZE", "DEQUANTIZE"}
    )
