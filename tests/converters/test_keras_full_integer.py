"""int8 TFLite files without float operations, for devices that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read
from unusual_layers import LAYERS, classifier

from edgevision.converter import FullIntegerConverter
from edgevision.errors import ConversionError
from edgevision_keras.quantization.tflite_file import float_tensors, operators, parsed
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
#: Allowed error of the outputs, relative to their variance: normalizations lose much without floats.
TOLERANCES = {name: 0.3 if "normalization" in name else 0.05 for name in LAYERS if name != "cosine"}


def test_the_tflite_converter_can_do_without_floats() -> None:
    assert isinstance(TfliteConverter(), FullIntegerConverter)


@pytest.mark.parametrize("name", TOLERANCES)
def test_every_tensor_is_an_integer_and_the_outputs_agree(keras: Any, tmp_path: Path, name: str) -> None:
    source = classifier(keras, tmp_path, LAYERS[name](keras))
    images = coloured_images(48, seed=61)[0]
    artifact = TfliteConverter().convert_full_integer(source, "int8", calibration_for(source, images[:32]))
    model = parsed(artifact.content)
    floats = float_tensors(model.subgraphs[0])
    # The compilers for such devices refuse open shapes.
    for tensor in model.subgraphs[0].tensors:
        assert -1 not in (tensor.shapeSignature if tensor.shapeSignature is not None else ())
    assert "SHAPE" not in {step.operation for step in operators(model)}
    used = {index for step in operators(model) for index in (*step.inputs, *step.outputs)}
    assert floats.isdisjoint(used)
    found = artifact_answers(artifact, images[32:])["scores"]
    expected = source.run({"image": images[32:]})["scores"]
    assert np.mean((found - expected) ** 2) <= TOLERANCES[name] * expected.var(axis=0).mean()


def test_a_byte_input_needs_no_float(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((16, 16, 3), name="image", dtype="uint8")
    x = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(4, name="scores")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(image, x).save(tmp_path / "model.keras")
    source = read(tmp_path / "model.keras")
    images = np.round(coloured_images(24, seed=62)[0])
    artifact = TfliteConverter().convert_full_integer(source, "int8", calibration_for(source, images))
    expected = source.run({"image": images})["scores"]
    error = artifact_answers(artifact, images)["scores"] - expected
    assert np.mean(error**2) <= 0.01 * expected.var(axis=0).mean()


class Untouchable:
    """Calibration images that fail when they are read."""

    def __iter__(self) -> Any:
        raise AssertionError("calibration began")


def test_what_has_no_integer_equivalent_is_named_before_calibration(keras: Any, tmp_path: Path) -> None:
    source = classifier(keras, tmp_path, LAYERS["cosine"](keras))
    with pytest.raises(
        ConversionError,
        match=r"without float operations: no integer equivalent of COS .*; replace the layer",
    ):
        TfliteConverter().convert_full_integer(source, "int8", Untouchable())
