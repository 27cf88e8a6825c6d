"""Artifacts have the outputs of the source, in every format and at every precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, SIZE, answers_of, calibration_for, coloured_images, read

from edgevision.artifact import CALIBRATED
from edgevision.converter import Converter
from edgevision.errors import ConversionError
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.testing import check_converter
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
BACKENDS = {"tflite": "tflite", "openvino": "openvino", "onnx": "onnx"}
CONVERTERS: list[Converter] = [TfliteConverter(), OpenVINOConverter(), OnnxConverter()]
EACH_CONVERTER = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)
EACH_ARTIFACT = pytest.mark.parametrize(
    ("converter", "precision"),
    [
        pytest.param(converter, precision, id=f"{converter.format}-{precision}")
        for converter in CONVERTERS
        for precision in converter.precisions
    ],
)


def converted(converter: Converter, source: Any, precision: str, images: Any) -> CheckedSession:
    calibration = calibration_for(source, images) if precision in CALIBRATED else None
    artifact = converter.convert(source, precision, calibration)
    return open_session(registry().backends()[BACKENDS[converter.format]], artifact)


@EACH_CONVERTER
def test_the_converter_fulfils_the_contract(converter: Converter, trained_source: Any) -> None:
    images = coloured_images(12, seed=11)[0]
    check_converter(converter, trained_source, calibration_for(trained_source, images))


@EACH_ARTIFACT
def test_an_artifact_agrees_with_the_source_on_the_top_class(
    trained_source: Any, converter: Converter, precision: str
) -> None:
    images = coloured_images(300, seed=12)[0]
    session = converted(converter, trained_source, precision, coloured_images(40, seed=13)[0])
    expected = trained_source.run({"picture": images})["colour"].argmax(1)
    predicted = answers_of(session, images)["colour"].argmax(1)
    required = {"float32": 1.0, "float16": 0.99}.get(precision, 0.95)
    assert np.mean(expected == predicted) >= required


@EACH_CONVERTER
def test_layers_that_exporters_often_break_have_the_outputs_of_the_source(
    hard_source: Any, converter: Converter
) -> None:
    images = coloured_images(9, seed=14)[0] / 255
    answers = answers_of(converted(converter, hard_source, "float32", images), images)
    for name, expected in hard_source.run({"image": images}).items():
        np.testing.assert_allclose(answers[name], expected, atol=2e-5)


@EACH_CONVERTER
def test_a_batch_has_the_outputs_of_single_images(trained_source: Any, converter: Converter) -> None:
    images = coloured_images(5, seed=15)[0]
    session = converted(converter, trained_source, "float32", images)
    assert session.dynamic_batch
    together = answers_of(session, images)["colour"]
    alone = [answers_of(session, image[None])["colour"][0] for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@EACH_CONVERTER
def test_a_keras_2_file_and_a_saved_model_convert_alike(
    tmp_path: Path, trained: Any, tf_keras: Any, converter: Converter
) -> None:
    trained.export(tmp_path / "exported", verbose=False)
    layers = tf_keras.layers
    old = tf_keras.Sequential(
        [layers.InputLayer((SIZE, SIZE, 3)), layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(2)]
    )
    old.save(tmp_path / "old.h5")
    images = coloured_images(3, seed=16)[0] / 255
    for name in ("exported", "old.h5"):
        source = read(tmp_path / name)
        answers = answers_of(converted(converter, source, "float32", images), images)
        for output, expected in source.run({source.inputs[0].name: images}).items():
            np.testing.assert_allclose(answers[output], expected, atol=2e-5)


@EACH_CONVERTER
def test_a_model_with_byte_inputs_converts(keras: Any, tmp_path: Path, converter: Converter) -> None:
    image = keras.Input((8, 8, 3), dtype="uint8", name="bytes")
    x = keras.layers.Conv2D(2, 3)(keras.ops.cast(image, "float32") / 255.0)
    keras.Model(image, keras.layers.Flatten(name="flat")(x)).save(tmp_path / "bytes.keras")
    source = read(tmp_path / "bytes.keras")
    images = np.arange(2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3) % 256
    precisions = ("float32", "float16") if converter.format == "onnx" else ("float32",)
    for precision in precisions:
        answers = answers_of(converted(converter, source, precision, images), images)["flat"]
        np.testing.assert_allclose(answers, source.run({"bytes": images})["flat"], atol=5e-3)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("int8", "int8"), ("int8-float-io", "float32"), ("int16x8", "float32")]
)
def test_a_tflite_precision_determines_the_types_of_inputs_and_outputs(
    trained_source: Any, precision: str, dtype: str
) -> None:
    session = converted(TfliteConverter(), trained_source, precision, coloured_images(8, seed=17)[0])
    assert [spec.dtype for spec in (*session.inputs, *session.outputs)] == [dtype, dtype]


@EACH_CONVERTER
def test_a_calibrated_precision_without_images_is_refused(trained_source: Any, converter: Converter) -> None:
    with pytest.raises(ConversionError, match="int8 needs calibration images; pass --calibration FOLDER"):
        converter.convert(trained_source, "int8", None)


@EACH_CONVERTER
def test_a_precision_that_the_format_lacks_is_refused(trained_source: Any, converter: Converter) -> None:
    with pytest.raises(
        ConversionError, match="does not support int4; supported precisions: float32, float16"
    ):
        converter.convert(trained_source, "int4", None)


@pytest.fixture
def inexpressible(keras: Any, tmp_path: Path) -> Any:
    """A source with an operation that TFLite and ONNX lack."""
    image = keras.Input((8, 8, 3))
    x = keras.ops.erfinv(keras.layers.Conv2D(2, 3)(image))
    keras.Model(image, keras.layers.Flatten()(x)).save(tmp_path / "odd.keras")
    return read(tmp_path / "odd.keras")


@pytest.mark.parametrize("converter", [TfliteConverter(), OnnxConverter()], ids=["tflite", "onnx"])
def test_an_operation_that_the_format_lacks_is_named(inexpressible: Any, converter: Converter) -> None:
    with pytest.raises(
        ConversionError,
        match=r"convert to (TFLite|ONNX) at float32: no .* Erfinv \(layer 'erfinv'\); replace the layer",
    ):
        converter.convert(inexpressible, "float32", None)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_same_conversion_writes_the_same_tflite_file(trained_file: Path, precision: str) -> None:
    images = coloured_images(8, seed=18)[0]
    digests = []
    for _ in range(2):
        source = read(trained_file)
        digests.append(TfliteConverter().convert(source, precision, calibration_for(source, images)).sha256)
    assert digests[0] == digests[1]


def test_onnx_files_load_in_old_runtimes(trained_source: Any) -> None:
    import onnx

    images = coloured_images(8, seed=19)[0]
    for precision in OnnxConverter.precisions:
        artifact = OnnxConverter().convert(trained_source, precision, calibration_for(trained_source, images))
        model = onnx.load_from_string(artifact.content)
        assert model.ir_version == 8
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_int8_onnx_leaves_the_softmax_in_float(trained_source: Any) -> None:
    import onnx

    images = coloured_images(8, seed=20)[0]
    artifact = OnnxConverter().convert(trained_source, "int8", calibration_for(trained_source, images))
    graph = onnx.load_from_string(artifact.content).graph
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    after = [node.op_type for node in graph.node if softmax.output[0] in node.input]
    assert "QuantizeLinear" not in after
    assert "QuantizeLinear" in {node.op_type for node in graph.node}


def test_openvino_files_carry_no_path_of_this_machine(trained_source: Any) -> None:
    images = coloured_images(8, seed=21)[0]
    calibration = calibration_for(trained_source, images)
    artifact = OpenVINOConverter().convert(trained_source, "int8", calibration)
    assert list(artifact.files) == ["model.xml", "model.bin"]
    assert b"/tmp" not in artifact.content
