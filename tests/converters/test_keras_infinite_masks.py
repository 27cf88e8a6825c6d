"""Networks with infinite activations, such as the mask of an attention, in int8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images
from unusual_layers import classifier

from edgevision.converter import Converter
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS: list[Converter] = [TfliteConverter(), OnnxConverter(), OpenVINOConverter()]


def masked_attention(keras: Any) -> Callable[[Any], Any]:
    ops = keras.ops

    def inside(x: Any) -> Any:
        rows = keras.layers.Reshape((49, 8))(x)
        scores = ops.matmul(rows, ops.transpose(rows, (0, 2, 1)))
        earlier = np.tril(np.ones((1, 49, 49), bool))
        weights = ops.softmax(ops.where(earlier, scores, -np.inf))
        return keras.layers.Reshape((7, 7, 8))(ops.matmul(weights, rows))

    return inside


@pytest.fixture(scope="module")
def masked(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return classifier(keras, tmp_path_factory.mktemp("masked"), masked_attention(keras))


def test_ranges_are_finite_and_are_chosen_by_finite_errors(masked: Any) -> None:
    images, _ = coloured_images(16, seed=1)
    prepared = masked.prepared_for_int8(calibration_for(masked, images))
    choice = prepared.range_choice()
    assert np.isfinite(list(choice.ranges.values())).all()
    assert choice.errors
    assert np.isfinite(list(choice.errors.values())).all()


@pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)
def test_the_int8_artifact_is_close_to_the_source(masked: Any, converter: Converter) -> None:
    images, _ = coloured_images(48, seed=1)
    (expected,) = masked.run({masked.inputs[0].name: images}).values()
    artifact = converter.convert(masked, "int8", calibration_for(masked, images[:32]))
    (answers,) = artifact_answers(artifact, images).values()
    assert np.mean((answers - expected) ** 2) < 0.02 * expected.var()
