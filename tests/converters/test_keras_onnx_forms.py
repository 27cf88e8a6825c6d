"""The two forms of int8 ONNX: one that CPUs compute in integers, and a symmetric one for TensorRT."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, artifact_answers, calibration_for, coloured_images, read
from unusual_layers import CHOICES, LAYERS, classifier

from edgevision.artifact import Artifact, FloatOperation
from edgevision.converter import PlainConverter, SelectiveConverter, SymmetricConverter
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.quantization import onnx_integer_operations
from edgevision_keras.quantization.onnx_float_model import OnnxFloatModel
from edgevision_keras.quantization.onnx_integer_operations import integer_operations

pytestmark = MARKS
_FORMS = (OnnxConverter(), OnnxConverter().symmetric())


def kernels(artifact: Artifact, folder: Path) -> Counter[str]:
    """The operations that ONNX Runtime makes of a file on a CPU."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.add_free_dimension_override_by_name("batch", 1)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(artifact.content, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def zero_points(artifact: Artifact) -> list[Any]:
    """The zero points of all activations."""
    import onnx

    graph = onnx.load_from_string(artifact.content).graph
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return [constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]


def branched(keras: Any, image: Any) -> Any:
    """Convolutions, two ways that are added and two that are joined, poolings and dense layers."""
    layers = keras.layers
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="first")(image)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(x)
    x = layers.Add(name="sum")([x, layers.Conv2D(64, 1, name="pointwise")(y)])
    x = layers.Concatenate(name="join")([layers.ReLU()(x), layers.MaxPooling2D(3, 1, "same")(y)])
    x = layers.AveragePooling2D(2)(layers.Conv2D(64, 3, activation="relu", name="second")(x))
    x = layers.Dense(16, activation="relu", name="hidden")(layers.GlobalAveragePooling2D()(x))
    return layers.Dense(4, activation="softmax", name="scores")(x)


@pytest.fixture
def integer_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions are integer operations although they are too small to be worth it."""
    monkeypatch.setattr(onnx_integer_operations, "_FLOAT_SHARE", 0.01)


@pytest.fixture(scope="module")
def branched_source(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    keras.utils.set_random_seed(3)
    image = keras.Input((16, 16, 3), name="image")
    path = tmp_path_factory.mktemp("branched") / "branched.keras"
    keras.Model(image, branched(keras, image)).save(path)
    return read(path)


def test_a_cpu_computes_convolutions_and_what_is_between_them_in_integers(
    branched_source: Any, tmp_path: Path
) -> None:
    calibration = calibration_for(branched_source, coloured_images(24, seed=61)[0])
    artifact = OnnxConverter().convert(branched_source, "int8", calibration)
    found = kernels(artifact, tmp_path)
    assert {"QLinearConv": 4, "QGemm": 2, "QLinearAdd": 1, "QLinearConcat": 1}.items() <= found.items()
    assert found.keys().isdisjoint({"Conv", "FusedConv", "Gemm", "MatMul", "Add", "Concat", "Relu", "Clip"})
    assert found["QuantizeLinear"] == 1, "the input"
    assert found["Softmax"] == 1, "scores keep their digits"
    assert artifact.quantization is not None
    assert artifact.quantization.float_operations == ()


def test_the_symmetric_form_has_no_zero_point_that_tensorrt_would_refuse(branched_source: Any) -> None:
    calibration = calibration_for(branched_source, coloured_images(24, seed=62)[0])
    converter = OnnxConverter()
    assert isinstance(converter, SymmetricConverter)
    symmetric = converter.symmetric()
    assert isinstance(symmetric, SelectiveConverter)
    assert isinstance(symmetric, PlainConverter)
    for artifact in (
        symmetric.convert(branched_source, "int8", calibration),
        symmetric.convert_plain(branched_source, "int8", calibration),
    ):
        points = zero_points(artifact)
        assert points
        assert all(point.dtype == np.int8 and point == 0 for point in points)
    points = zero_points(converter.convert(branched_source, "int8", calibration))
    assert {point.dtype for point in points} == {np.dtype(np.uint8)}
    assert any(point > 0 for point in points)


@pytest.mark.parametrize("converter", _FORMS, ids=["cpu", "tensorrt"])
def test_layers_that_stay_in_float_do_so_in_both_forms(
    branched_source: Any, converter: OnnxConverter, tmp_path: Path
) -> None:
    calibration = calibration_for(branched_source, coloured_images(24, seed=63)[0])
    ranked = converter.sensitivities(branched_source, "int8", calibration)
    kept = [name for name, _ in ranked if "second" in name]
    whole = converter.convert(branched_source, "int8", calibration)
    mixed = converter.convert(branched_source, "int8", calibration, keep_float=kept)
    assert mixed.size_bytes > whole.size_bytes + 2 * 9 * 128 * 64
    if converter is _FORMS[0]:
        assert kernels(mixed, tmp_path)["QLinearConv"] == 3
        assert mixed.quantization is not None
        floats = mixed.quantization.float_operations
        assert FloatOperation("Conv", "second", "loses accuracy in int8") in floats


@pytest.mark.usefixtures("integer_convolutions")
@pytest.mark.parametrize("name", [*LAYERS, *CHOICES])
def test_every_layer_agrees_with_the_source_in_the_form_for_cpus(
    keras: Any, tmp_path: Path, name: str
) -> None:
    source = classifier(keras, tmp_path, {**LAYERS, **CHOICES}[name](keras))
    images = coloured_images(48, seed=41)[0]
    artifact = OnnxConverter().convert(source, "int8", calibration_for(source, images[:32]))
    found = artifact_answers(artifact, images[32:])["scores"]
    expected = source.run({"image": images[32:]})["scores"]
    assert np.mean((found - expected) ** 2) <= 0.01 * expected.var(axis=0).mean()


def float_operations(keras: Any, folder: Path, name: str) -> dict[tuple[str, str], str]:
    """(operation, layer) -> reason, of the int8 file of a classifier."""
    source = classifier(keras, folder, LAYERS[name](keras))
    calibration = calibration_for(source, coloured_images(12, seed=42)[0])
    record = OnnxConverter().convert(source, "int8", calibration).quantization
    assert record is not None
    return {(each.operation, each.layer): each.reason for each in record.float_operations}


@pytest.mark.usefixtures("integer_convolutions")
def test_operations_without_an_integer_kernel_are_float(keras: Any, tmp_path: Path) -> None:
    (cosine,) = float_operations(keras, tmp_path, "cosine").items()
    assert cosine[0][0] == "Cos"
    assert cosine[1] == "no int8 kernel"


@pytest.mark.usefixtures("integer_convolutions")
def test_a_whole_normalization_is_float(keras: Any, tmp_path: Path) -> None:
    found = float_operations(keras, tmp_path, "layer_normalization")
    assert {layer for _, layer in found} == {"inside"}
    assert {"ReduceMean", "Mul", "Add"} <= {operation for operation, _ in found}
    assert found["Mul", "inside"] == "part of a normalization"


def test_convolutions_of_few_channels_are_float_where_that_is_faster(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    image = keras.Input((64, 64, 1), name="image")
    x = layers.DepthwiseConv2D(3, name="few")(layers.Conv2D(8, 3, activation="relu", name="first")(image))
    x = layers.Conv2D(128, 3, activation="relu", name="many")(layers.Conv2D(64, 3, strides=4)(x))
    keras.Model(image, layers.GlobalAveragePooling2D(name="scores")(x)).save(tmp_path / "few.keras")
    source = read(tmp_path / "few.keras")
    images = [{"image": np.random.default_rng(1).random((1, 64, 64, 1), np.float32)}] * 4
    found = kernels(OnnxConverter().convert(source, "int8", images), tmp_path)
    assert (found["QLinearConv"], found["Conv"]) == (2, 2)


@pytest.mark.usefixtures("integer_convolutions")
@pytest.mark.parametrize(("low", "high", "fused"), [(0.0, 6.0, True), (-1.0, 1.0, True), (0.2, 0.6, False)])
def test_a_clip_that_zero_does_not_pass_is_not_left_to_the_ends_of_a_range(
    low: float, high: float, fused: bool
) -> None:
    import onnx

    helper = onnx.helper
    weights = np.random.default_rng(1).normal(size=(8, 8, 3, 3)).astype(np.float32)
    constants = {"weights": weights, "low": np.float32(low), "high": np.float32(high)}
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["a"], name="first"),
        helper.make_node("Clip", ["a", "low", "high"], ["b"], name="clip"),
        helper.make_node("Conv", ["b", "weights"], ["scores"], name="second"),
    ]
    ends = [
        helper.make_tensor_value_info(name, 1, ["batch", 8, size, size])
        for name, size in (("image", 16), ("scores", 12))
    ]
    tensors = [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "clip", ends[:1], ends[1:], tensors)
    file = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = OnnxFloatModel(file.SerializeToString())
    clip = next(node.name for node in model.nodes if node.op_type == "Clip")
    assert (clip in integer_operations(model, {}).names) == fused
