"""Networks that lose accuracy with plain int8 stay close to the source, on each runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import weak_networks
from keras_sources import MARKS, calibration_for, read

from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS = {"tflite": TfliteConverter(), "openvino": OpenVINOConverter(), "onnx": OnnxConverter()}
#: The largest root mean square error, relative to the spread of the outputs over images. The converters'
#: own int8 exceeds each limit; the comments have its errors in the same order.
LIMITS = {
    "uneven_mobilenet": {"tflite": 0.25, "openvino": 0.25, "onnx": 0.3},  # 1.60, 1.39, 1.17
    "swish_network": {"tflite": 0.145, "openvino": 0.14, "onnx": 0.18},  # 0.153, 0.145, 0.375
    "tagger": {"tflite": 0.042, "openvino": 0.035, "onnx": 0.05},  # 0.044, 0.044, 0.266
    "detector": {"tflite": 0.036, "openvino": 0.035, "onnx": 0.065},  # 0.039, 0.047, 0.087
    "image_to_image": {"tflite": 0.0105, "openvino": 0.0085, "onnx": 0.0135},  # 0.0108, 0.0103, 0.0168
}


@pytest.fixture(scope="module")
def sources(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Any, Any]]:
    """Name of a network -> (source, calibration set, evaluation images), computed once."""
    known: dict[str, tuple[Any, Any, Any]] = {}

    def source(name: str) -> tuple[Any, Any, Any]:
        if name not in known:
            keras.utils.set_random_seed(7)
            path = tmp_path_factory.mktemp("weak") / f"{name}.keras"
            getattr(weak_networks, name)(keras).save(path)
            model = read(path)
            size = model.inputs[0].shape[1]
            calibration, evaluation = (weak_networks.pictures(100, size, seed) for seed in (10, 11))
            if name == "uneven_mobilenet":  # its input range is -1…1
                calibration, evaluation = calibration / 127.5 - 1, evaluation / 127.5 - 1
            known[name] = (model, calibration_for(model, calibration), evaluation)
        return known[name]

    return source


@pytest.mark.parametrize("format_", CONVERTERS)
@pytest.mark.parametrize("name", LIMITS)
def test_int8_outputs_are_close_to_those_of_the_source(
    sources: Callable[[str], tuple[Any, Any, Any]], name: str, format_: str
) -> None:
    source, calibration, images = sources(name)
    artifact = CONVERTERS[format_].convert(source, "int8", calibration)
    (output,) = source.outputs
    expected = source.run({source.inputs[0].name: images})[output.name]
    with open_session(registry().backends()[format_], artifact) as session:
        spec = session.inputs[0]
        if spec.quantization is not None:
            images = np.round(images / spec.quantization.scale) + spec.quantization.zero_point
            images = np.clip(images, -128, 127).astype(np.int8)
        outputs = session.outputs[0].dequantize(session.run({spec.name: images})[output.name])
    spread = np.sqrt(np.mean((expected - expected.mean(axis=0)) ** 2))
    assert np.sqrt(np.mean((outputs - expected) ** 2)) / spread <= LIMITS[name][format_]
