"""int8 TFLite files that compute some operations in float: which, why, and as well as float32."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, SIZE, artifact_answers, calibration_for, coloured_images, read
from unusual_layers import CHOICES, LAYERS, classifier

from edgevision_keras.native_output import without_native_lines
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.quantization.tflite_file import operators, parsed
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS


@pytest.mark.parametrize("precision", ["int8", "int8-float-io"])
@pytest.mark.parametrize("name", [*LAYERS, *CHOICES])
def test_an_int8_file_with_float_operations_agrees_with_the_source(
    keras: Any, tmp_path: Path, name: str, precision: str
) -> None:
    source = classifier(keras, tmp_path, {**LAYERS, **CHOICES}[name](keras))
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


def float_operations(
    keras: Any, folder: Path, name: str, precision: str = "int8"
) -> dict[tuple[str, str], str]:
    """(operation, layer) -> reason, of the int8 file of a classifier."""
    source = classifier(keras, folder, LAYERS[name](keras))
    calibration = calibration_for(source, coloured_images(12, seed=42)[0])
    record = TfliteConverter().convert(source, "int8", calibration).quantization
    assert record is not None
    return {(each.operation, each.layer): each.reason for each in record.float_operations}


def test_an_operation_without_a_kernel_is_float_and_named_with_its_layer(keras: Any, tmp_path: Path) -> None:
    (cosine,) = float_operations(keras, tmp_path, "cosine").items()
    assert cosine[0][0] == "COS"
    assert cosine[1] == "no int8 kernel"
    assert float_operations(keras, tmp_path, "elu") == {("ELU", "inside"): "no int8 kernel"}


def test_a_slow_operation_is_float_and_named_with_its_layer(keras: Any, tmp_path: Path) -> None:
    assert float_operations(keras, tmp_path, "hard_swish") == {("HARD_SWISH", "inside"): "slower in int8"}


@pytest.mark.parametrize("name", ["layer_normalization", "group_normalization", "rms_normalization"])
def test_a_whole_normalization_is_float(keras: Any, tmp_path: Path, name: str) -> None:
    found = float_operations(keras, tmp_path, name)
    assert {layer for _, layer in found} == {"inside"}
    assert {"MEAN", "RSQRT", "MUL", "ADD"} <= {operation for operation, _ in found}
    assert found["RSQRT", "inside"] == "part of a normalization"


def test_an_attention_is_float_between_its_products(keras: Any, tmp_path: Path) -> None:
    found = float_operations(keras, tmp_path, "attention")
    assert found["BATCH_MATMUL", "attend"] == "slower in int8"
    assert found["SOFTMAX", "attend"] == "slower in int8"
    assert "FULLY_CONNECTED" not in {operation for operation, _ in found}


@pytest.mark.parametrize("activation", ["selu", "softplus", "mish"])
def test_an_activation_that_the_converter_splits_is_float_between_its_parts(
    keras: Any, tmp_path: Path, activation: str
) -> None:
    keras.utils.set_random_seed(5)
    image = x = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Rescaling(1 / 32, offset=-4)(x)
    for _ in range(2):  # the values inside reach the exponential of 4 and more
        x = keras.layers.Conv2D(16, 3, strides=2, activation=activation)(x)
    x = keras.layers.Dense(4, name="scores")(keras.layers.Flatten()(x))
    keras.Model(image, x).save(tmp_path / "m.keras")
    source = read(tmp_path / "m.keras")
    images = coloured_images(64, seed=43)[0]
    artifact = TfliteConverter().convert(source, "int8", calibration_for(source, images[:40]))
    assert artifact.quantization is not None
    reasons = {each.operation: each.reason for each in artifact.quantization.float_operations}
    assert reasons["EXP"] == "a part of one operation of the network"
    found, expected = artifact_answers(artifact, images[40:])["scores"], source.run({"image": images[40:]})
    assert np.mean((found - expected["scores"]) ** 2) <= 0.01 * expected["scores"].var(axis=0).mean()


def test_final_scores_are_float_only_where_the_output_is(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(image)))
    keras.Model(image, keras.layers.Activation("softmax", name="scores")(x)).save(tmp_path / "m.keras")
    source = read(tmp_path / "m.keras")
    images = np.random.default_rng(0).uniform(0, 1, (12, 8, 8, 3)).astype(np.float32)
    found = {}
    for precision in ("int8", "int8-float-io"):
        record = TfliteConverter().convert(source, precision, calibration_for(source, images)).quantization
        assert record is not None
        found[precision] = [each.operation for each in record.float_operations]
    assert found == {"int8": [], "int8-float-io": ["SOFTMAX"]}


def test_a_file_has_no_shapes_that_are_computed_at_run_time(keras: Any, tmp_path: Path) -> None:
    source = classifier(keras, tmp_path, LAYERS["attention"](keras))
    content = TfliteConverter().convert(source, "float32", None).content
    assert {"SHAPE", "PACK", "GATHER"}.isdisjoint(step.operation for step in operators(parsed(content)))


def test_conversion_writes_nothing_to_the_terminal(
    keras: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = classifier(keras, tmp_path, LAYERS["elu"](keras))
    calibration = calibration_for(source, coloured_images(12, seed=43)[0])
    for converter in (TfliteConverter(), OpenVINOConverter()):
        capfd.readouterr()
        converter.convert(source, "int8", calibration)
        converter.convert_plain(source, "int8", calibration)
        assert "".join(capfd.readouterr()) == ""


def test_other_lines_on_the_standard_error_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with without_native_lines(b"noise"):
        os.write(2, b"noise: 1\nsomething else\n")
    assert capfd.readouterr().err == "something else\n"
