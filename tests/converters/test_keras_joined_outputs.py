"""Detectors with boxes in pixels and scores in one output, at int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read

from edgevision.converter import Converter
from edgevision.errors import ConversionError
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS: list[Converter] = [TfliteConverter(), OnnxConverter(), OpenVINOConverter()]


def detector(keras: Any, folder: Path, *, transposed: bool, levels: int) -> Any:
    """A one-tensor head: (rows, 4 pixels up to 640 and 3 scores), or its transpose, of one or more levels."""
    keras.utils.set_random_seed(12)
    layers = keras.layers
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    heads = []
    for level in range(levels):
        x = layers.Conv2D(8, 3, strides=1 + level, padding="same", activation="relu")(x)
        places = (8 // (1 + level)) ** 2
        boxes = layers.Rescaling(640.0)(layers.Conv2D(4, 1, activation="sigmoid")(x))
        scores = layers.Conv2D(3, 1, activation="sigmoid", kernel_initializer="random_normal")(x)
        heads.append(
            layers.Concatenate()([layers.Reshape((places, 4))(boxes), layers.Reshape((places, 3))(scores)])
        )
    y = layers.Concatenate(axis=1)(heads) if levels > 1 else heads[0]
    y = layers.Permute((2, 1), name="found")(y) if transposed else layers.Identity(name="found")(y)
    keras.Model(image, y).save(folder / "model.keras")
    return read(folder / "model.keras")


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)
@pytest.mark.parametrize(("transposed", "levels"), [(False, 1), (True, 1), (False, 2), (True, 2)])
def test_scores_beside_boxes_in_pixels_keep_their_precision(
    keras: Any, tmp_path: Path, converter: Converter, transposed: bool, levels: int
) -> None:
    source = detector(keras, tmp_path, transposed=transposed, levels=levels)
    images = coloured_images(40, seed=71)[0]
    artifact = converter.convert(source, "int8", calibration_for(source, images[:24]))
    (name,) = (spec.name for spec in source.outputs)
    found, expected = artifact_answers(artifact, images[24:])[name], source.run({"image": images[24:]})[name]
    if transposed:
        found, expected = np.swapaxes(found, 1, 2), np.swapaxes(expected, 1, 2)
    assert np.abs(found[..., 4:] - expected[..., 4:]).max() < 0.02
    assert np.abs(found[..., :4] - expected[..., :4]).max() < 0.03 * 640


def test_the_joining_operations_are_named(keras: Any, tmp_path: Path) -> None:
    source = detector(keras, tmp_path, transposed=False, levels=1)
    calibration = calibration_for(source, coloured_images(12, seed=72)[0])
    record = TfliteConverter().convert(source, "int8", calibration).quantization
    assert record is not None
    reasons = {each.operation: each.reason for each in record.float_operations}
    assert reasons["CONCATENATION"] == "joins tensors of different ranges in one output"


def test_full_integer_refuses_one_scale_for_both(keras: Any, tmp_path: Path) -> None:
    source = detector(keras, tmp_path, transposed=False, levels=1)
    calibration = calibration_for(source, coloured_images(12, seed=73)[0])
    with pytest.raises(ConversionError, match=r"joins tensors of very different ranges.*separate outputs"):
        TfliteConverter().convert_full_integer(source, "int8", calibration)
