"""The plain artifacts, which int8 artifacts are compared with, on real runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, calibration_for, coloured_images, read

from edgevision.artifact import Artifact
from edgevision.converter import PlainConverter, split_calibration
from edgevision.errors import ConversionError
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
EACH_CONVERTER = pytest.mark.parametrize(
    "converter",
    [TfliteConverter(), OpenVINOConverter(), OnnxConverter()],
    ids=lambda converter: converter.name,
)


def scores(artifact: Artifact, name: str, images: Any) -> Any:
    """The output `name` of an int8 artifact on images (n, height, width, 3) float32."""
    with open_session(registry().backends()[artifact.format], artifact) as session:
        spec = session.inputs[0]
        if spec.quantization is not None:
            images = np.round(images / spec.quantization.scale) + spec.quantization.zero_point
            images = np.clip(images, -128, 127).astype(np.int8)
        return session.outputs[0].dequantize(session.run({spec.name: images})[name])


@EACH_CONVERTER
def test_the_plain_artifact_runs_and_says_which_tool_made_it(trained_source: Any, converter: Any) -> None:
    assert isinstance(converter, PlainConverter)
    calibration = calibration_for(trained_source, coloured_images(24, seed=41)[0])
    artifact = converter.convert_plain(trained_source, "int8", calibration)
    assert artifact.quantization is not None
    assert artifact.quantization.recipe == "plain"
    assert artifact.quantization.range_rule == ""
    assert {"tflite": "TensorFlow", "openvino": "NNCF", "onnx": "ONNX Runtime"}[
        converter.format
    ] in artifact.quantization.tool
    images = coloured_images(64, seed=42)[0]
    expected = trained_source.run({"picture": images})["colour"].argmax(axis=1)
    assert (scores(artifact, "colour", images).argmax(axis=1) == expected).mean() > 0.9


@EACH_CONVERTER
def test_images_that_are_held_out_change_no_plain_artifact(trained_source: Any, converter: Any) -> None:
    images = coloured_images(20, seed=43)[0]
    others = images.copy()
    others[split_calibration(len(images))[1]] = 0
    first, second = (
        converter.convert_plain(trained_source, "int8", calibration_for(trained_source, each))
        for each in (images, others)
    )
    np.testing.assert_array_equal(*(scores(each, "colour", images) for each in (first, second)))


def test_what_tflite_cannot_compute_in_int8_stays_float_in_the_plain_artifact(
    keras: Any, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2)(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(layers.LayerNormalization()(x))
    path = tmp_path / "normalized.keras"
    keras.Model(image, layers.Dense(3, activation="softmax", name="scores")(x)).save(path)
    source = read(path)
    images = coloured_images(24, seed=44)[0]
    artifact = TfliteConverter().convert_plain(source, "int8", calibration_for(source, images))
    expected = source.run({"image": images})["scores"]
    np.testing.assert_allclose(scores(artifact, "scores", images), expected, atol=0.1)


@EACH_CONVERTER
def test_a_precision_without_calibration_has_no_plain_artifact(trained_source: Any, converter: Any) -> None:
    calibration = calibration_for(trained_source, coloured_images(4, seed=45)[0])
    with pytest.raises(ConversionError, match=r"expected a calibrated precision \(.*int8\)"):
        converter.convert_plain(trained_source, "float16", calibration)
