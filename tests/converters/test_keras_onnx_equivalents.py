"""Operations that one of the formats lacks become others with the same values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers
from unusual_layers import classifier

from edgevision.converter import Converter
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS: list[Converter] = [TfliteConverter(), OnnxConverter(), OpenVINOConverter()]
EACH_CONVERTER = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)

INSIDE: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "argmax": lambda keras: lambda x: x * keras.ops.one_hot(keras.ops.argmax(x, axis=-1), 8),
    "argmin": lambda keras: lambda x: x * keras.ops.one_hot(keras.ops.argmin(x, axis=-1), 8),
    "celu": lambda keras: keras.layers.Activation("celu"),
    "exact_gelu": lambda keras: keras.layers.Activation("gelu"),
    "expm1": lambda keras: lambda x: keras.ops.expm1(0.1 * x),
    "log1p": lambda keras: lambda x: keras.ops.log1p(keras.ops.relu(x)),
    "xor": lambda keras: lambda x: keras.ops.where(keras.ops.logical_xor(x > 0, x > 0.1), x, 2 * x),
}


@EACH_CONVERTER
@pytest.mark.parametrize("name", INSIDE)
def test_a_float32_artifact_computes_what_the_source_computes(
    keras: Any, tmp_path: Path, converter: Converter, name: str
) -> None:
    source = classifier(keras, tmp_path, INSIDE[name](keras))
    images = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    (expected,) = source.run({source.inputs[0].name: images}).values()
    (answers,) = artifact_answers(converter.convert(source, "float32", None), images).values()
    np.testing.assert_allclose(answers, expected, rtol=1e-3, atol=1e-4)
