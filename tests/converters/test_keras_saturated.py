"""A classifier that is sure of every image keeps its logits in int8, on each runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, calibration_for, coloured_images, read

from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.quantization import prepare
from edgevision_keras.quantization.histograms import Histogram
from edgevision_keras.quantization.ranges import Range, best_range
from edgevision_keras.tflite import TfliteConverter

pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore::UserWarning:ai_edge_litert")]
CONVERTERS = {"tflite": TfliteConverter(), "openvino": OpenVINOConverter(), "onnx": OnnxConverter()}


@pytest.fixture(scope="module")
def source(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A classifier of four colours, whose logits are twenty times those of its training."""
    keras.utils.set_random_seed(6)
    layers = keras.layers
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    for filters in (12, 16, 24):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.Flatten()(x)
    x = layers.Dense(32, activation="relu")(x)
    scores = layers.Dense(4, activation="softmax", name="scores")(x)
    model = keras.Model(image, scores)
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    images, labels = coloured_images(512, seed=51)
    model.fit(images, labels, epochs=5, batch_size=32, verbose=0)
    last = model.get_layer("scores")
    last.set_weights([20 * each for each in last.get_weights()])
    path = tmp_path_factory.mktemp("saturated") / "saturated.keras"
    model.save(path)
    return read(path)


@pytest.fixture(scope="module")
def evaluation() -> Any:
    return coloured_images(200, seed=53)[0]


@pytest.fixture(scope="module")
def logits(source: Any, evaluation: Any) -> Any:
    """The logits of the source: from the logarithms of its scores they could not be read."""
    import tensorflow as tf

    trace = source.trace.frozen
    (softmax,) = [operation for operation in trace.graph.get_operations() if operation.type == "Softmax"]
    values = trace.prune(trace.inputs, [softmax.inputs[0]])(tf.constant(evaluation))
    return values[0].numpy()


def tflite_logits(content: bytes, images: Any) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    (softmax,) = [each for each in interpreter._get_ops_details() if each["op_name"] == "SOFTMAX"]
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    scale, zero = details[softmax["inputs"][0]]["quantization"]
    answers = []
    for image in images:
        pixels = np.round(image[None] / entry["quantization"][0]) + entry["quantization"][1]
        interpreter.set_tensor(entry["index"], np.clip(pixels, -128, 127).astype(np.int8))
        interpreter.invoke()
        answers.append((interpreter.get_tensor(softmax["inputs"][0])[0].astype(float) - zero) * scale)
    return np.stack(answers)


def openvino_logits(files: Mapping[str, bytes], images: Any) -> Any:
    import openvino

    core = openvino.Core()
    model = core.read_model(files["model.xml"], files["model.bin"])
    (softmax,) = [node for node in model.get_ordered_ops() if node.get_type_name() == "Softmax"]
    model = openvino.Model([softmax.input_value(0)], model.get_parameters())
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images)[0]


def onnx_logits(content: bytes, images: Any) -> Any:
    import onnx
    import onnxruntime

    model = onnx.load_from_string(content)
    (softmax,) = [node for node in model.graph.node if node.op_type == "Softmax"]
    model.graph.output.append(onnx.ValueInfoProto(name=softmax.input[0]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([softmax.input[0]], {"image": images})[0]


def logit_error(source: Any, calibration: Any, format_: str, evaluation: Any, logits: Any) -> float:
    """Mean squared error of the int8 logits, relative to their variance."""
    artifact = CONVERTERS[format_].convert(source, "int8", calibration)
    content = artifact.files if format_ == "openvino" else artifact.content
    read_logits = {"tflite": tflite_logits, "openvino": openvino_logits, "onnx": onnx_logits}[format_]
    return float(np.mean((read_logits(content, evaluation) - logits) ** 2) / logits.var())  # type: ignore[operator]


@pytest.mark.parametrize("format_", CONVERTERS)
def test_int8_logits_of_a_sure_classifier_are_within_a_hundredth_of_their_variance(
    source: Any, evaluation: Any, logits: Any, format_: str
) -> None:
    calibration = calibration_for(source, coloured_images(60, seed=52)[0])
    assert logit_error(source, calibration, format_, evaluation, logits) <= 0.01


@pytest.mark.parametrize("format_", CONVERTERS)
def test_gradients_behind_the_softmax_alone_would_clip_them(
    source: Any, evaluation: Any, logits: Any, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [calibration_for(source, coloured_images(60, seed=52)[0]) for _ in range(2)]
    ours = logit_error(source, sets[0], format_, evaluation, logits)

    def behind_the_softmax(histogram: Histogram, symmetric: bool) -> Range:
        return best_range(histogram, histogram.outputs, symmetric=symmetric)

    monkeypatch.setattr(prepare, "RULES", dict.fromkeys(prepare.RULES, behind_the_softmax))
    monkeypatch.setattr(prepare, "with_margin", behind_the_softmax)
    monkeypatch.setattr(prepare, "_widened", lambda range_, *_: range_)
    # OpenVINO's and ONNX's forms leave the logits themselves in float.
    limit = 0.01 if format_ == "tflite" else 5 * ours
    assert logit_error(source, sets[1], format_, evaluation, logits) > limit
