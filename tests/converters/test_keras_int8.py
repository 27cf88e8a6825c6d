"""The network that int8 artifacts start from: its outputs, its rounded weights, layers kept in float."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_sources import MARKS, calibration_for, coloured_images, read

from edgevision.converter import SelectiveConverter
from edgevision.errors import ConversionError
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision_keras.libraries import on_one_thread
from edgevision_keras.onnx import OnnxConverter
from edgevision_keras.onnx_export import export_float32
from edgevision_keras.openvino import OpenVINOConverter
from edgevision_keras.quantization.folding import freeze
from edgevision_keras.quantization.histograms import Histogram
from edgevision_keras.quantization.prepare import prepare
from edgevision_keras.quantization.ranges import best_range
from edgevision_keras.tflite import TfliteConverter

pytestmark = MARKS
CONVERTERS: list[SelectiveConverter] = [TfliteConverter(), OpenVINOConverter(), OnnxConverter()]
EACH_CONVERTER = pytest.mark.parametrize("converter", CONVERTERS, ids=lambda converter: converter.name)


@pytest.fixture(scope="module")
def prepared(hard_source: Any) -> Any:
    images = coloured_images(24, seed=31)[0] / 255
    return hard_source.prepared_for_int8(calibration_for(hard_source, images))


def test_the_folded_and_equalized_network_has_the_outputs_of_the_source(
    hard_source: Any, prepared: Any
) -> None:
    images = coloured_images(9, seed=32)[0] / 255
    import tensorflow as tf

    frozen = freeze(hard_source.trace, prepared.folded.definition)
    answers = dict(zip((spec.name for spec in hard_source.outputs), frozen(tf.constant(images)), strict=True))
    for name, expected in hard_source.run({"image": images}).items():
        np.testing.assert_allclose(answers[name], expected, atol=2e-5)


def test_rounded_weights_lie_on_the_int8_grid_with_the_largest_at_127(prepared: Any) -> None:
    assert prepared.unrounded == ()
    for layer in prepared.layers():
        steps = layer.matrix / (np.abs(layer.matrix).max(axis=0) / 127)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_on_one_thread_limits_matrix_multiplication_and_restores_the_threads() -> None:
    import threadpoolctl

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    with threadpoolctl.threadpool_limits(2, "blas"):
        before = threads()
        with on_one_thread():
            assert threads()
            assert set(threads()) == {1}
        assert threads() == before


def test_a_tflite_file_has_exactly_the_rounded_weights(trained_source: Any) -> None:
    from ai_edge_litert.interpreter import Interpreter

    calibration = calibration_for(trained_source, coloured_images(24, seed=33)[0])
    artifact = TfliteConverter().convert(trained_source, "int8", calibration)
    interpreter = Interpreter(model_content=artifact.content)
    interpreter.allocate_tensors()
    stored = []
    for detail in interpreter.get_tensor_details():
        scales = detail["quantization_parameters"]["scales"]
        if len(scales) > 1 and detail["dtype"] == np.int8:
            shape = [1] * len(detail["shape"])
            shape[detail["quantization_parameters"]["quantized_dimension"]] = -1
            stored.append(in_order(interpreter.get_tensor(detail["index"]) * scales.reshape(shape)))
    for layer in trained_source.prepared_for_int8(calibration).layers():
        candidates = [values for values in stored if values.size == layer.weight.size]
        assert any(np.allclose(values, in_order(layer.weight), atol=1e-5) for values in candidates)


def in_order(weights: Any) -> Any:
    """Sorted, relative to the largest: the converter folds the rescaling into the first layer."""
    return np.sort((weights / np.abs(weights).max()).ravel())


def test_one_preparation_serves_all_three_formats_and_another_calibration_set_needs_another(
    trained_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read(trained_file)
    first, second = (calibration_for(source, coloured_images(8, seed=seed)[0]) for seed in (37, 38))
    calibrations: list[Any] = []

    def counted(trace: Any, calibration: Any) -> Any:
        calibrations.append(calibration)
        return prepare(trace, calibration)

    monkeypatch.setattr("edgevision_keras.source.prepare", counted)
    for calibration in (first, second):
        for converter in CONVERTERS:
            converter.convert(source, "int8", calibration)
            converter.sensitivities(source, "int8", calibration)
    assert [id(calibration) for calibration in calibrations] == [id(first), id(second)]


def test_the_float32_onnx_file_is_exported_once_for_two_formats(
    trained_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read(trained_file)
    exports: list[Any] = []

    def counted(source: Any, frozen: Any, answer: Any) -> bytes:
        exports.append(frozen)
        return export_float32(source, frozen, answer)

    monkeypatch.setattr("edgevision_keras.source.export_float32", counted)
    for converter in (OpenVINOConverter(), OnnxConverter()):
        for precision in ("float32", "float16"):
            converter.convert(source, precision, None)
    assert len(exports) == 1


def test_a_source_is_freed_with_everything_that_was_prepared_from_it(trained_file: Path) -> None:
    source = read(trained_file)
    calibration = calibration_for(source, coloured_images(8, seed=39)[0])
    for converter in CONVERTERS:
        converter.convert(source, "int8", calibration)
        converter.convert(source, "float32", None)
    alive = [weakref.ref(source), weakref.ref(source.prepared_for_int8(calibration))]
    del source
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_a_layer_that_the_model_does_not_have_is_refused_with_the_names_that_it_has(
    trained_source: Any,
) -> None:
    calibration = calibration_for(trained_source, coloured_images(8, seed=40)[0])
    for converter in CONVERTERS:
        with pytest.raises(
            ConversionError, match=r"layer 'none' is not in the model \(expected one of: .*conv2d"
        ):
            converter.convert(trained_source, "int8", calibration, ["none"])


@EACH_CONVERTER
def test_keeping_all_layers_in_float_is_more_accurate_than_keeping_none(
    trained_source: Any, converter: Any
) -> None:
    calibration = calibration_for(trained_source, coloured_images(24, seed=34)[0])
    images = coloured_images(64, seed=35)[0]
    expected = trained_source.run({"picture": images})["colour"]
    names = [name for name, _ in converter.sensitivities(trained_source, "int8", calibration)]
    errors = []
    for keep in ((), names):
        artifact = converter.convert(trained_source, "int8", calibration, keep)
        with open_session(registry().backends()[converter.format], artifact) as session:
            spec = session.inputs[0]
            inputs = images if spec.quantization is None else (images / spec.quantization.scale).round() - 128
            answers = session.run({spec.name: inputs.astype(spec.dtype)})["colour"]
            errors.append(float(np.abs(session.outputs[0].dequantize(answers) - expected).mean()))
    assert errors[1] < errors[0]


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_tflite_computes_only_the_chosen_layer_in_float(trained_source: Any) -> None:
    import tensorflow as tf

    calibration = calibration_for(trained_source, coloured_images(24, seed=36)[0])
    converter = TfliteConverter()
    name = next(layer.name for layer in trained_source.prepared_for_int8(calibration).folded.layers)
    artifact = converter.convert(trained_source, "int8", calibration, [name])
    interpreter = tf.lite.Interpreter(model_content=artifact.content)
    types = {detail["index"]: detail["dtype"] for detail in interpreter.get_tensor_details()}
    operations = [
        op for op in interpreter._get_ops_details() if op["op_name"].endswith(("CONV_2D", "CONNECTED"))
    ]
    output_types = [types[op["outputs"][0]] for op in operations]
    assert output_types[0] is np.float32
    assert set(output_types[1:]) == {np.int8}


@EACH_CONVERTER
def test_layers_can_stay_float_only_in_int8(trained_source: Any, converter: Any) -> None:
    with pytest.raises(
        ConversionError, match="keep_float is supported only for int8 and int8-float-io, not for float32"
    ):
        converter.convert(trained_source, "float32", None, ["conv2d"])


def test_a_range_is_clipped_where_that_does_not_change_the_outputs() -> None:
    histogram = Histogram(-8.0, 8.0)
    values = np.random.default_rng(0).normal(0, 1, (1, 4000))
    histogram.add(np.append(values, 7.9), np.append((values > 0).astype(float), 1e-9))
    low, high = best_range(histogram, histogram.outputs)
    assert low > -1.0
    assert 3.0 < high < 6.0


def test_every_process_writes_the_same_tflite_file(trained_file: Path) -> None:
    script = (
        "from keras_sources import calibration_for, coloured_images, read\n"
        "from edgevision_keras.tflite import TfliteConverter\n"
        f"source = read(__import__('pathlib').Path({str(trained_file)!r}))\n"
        "calibration = calibration_for(source, coloured_images(8, seed=18)[0])\n"
        "print(TfliteConverter().convert(source, 'int8', calibration).sha256)\n"
    )
    environment = os.environ | {
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    source = read(trained_file)
    here = TfliteConverter().convert(source, "int8", calibration_for(source, coloured_images(8, seed=18)[0]))
    assert done.stdout.split()[-1] == here.sha256
