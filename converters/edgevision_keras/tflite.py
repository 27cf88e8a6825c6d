"""From a Keras model to TFLite."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgevision.artifact import CALIBRATED, Artifact
from edgevision.converter import CalibrationData, Source
from edgevision.errors import ConversionError, EdgeVisionError, first_line
from edgevision.tensors import Array
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.quantization.prepare import int8_source
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.quantization.tflite import quantized
from edgevision_keras.request import INT8, check_request
from edgevision_keras.source import KerasSource, keras_source


class TfliteConverter:
    """The converter ``keras-tflite``; see `edgevision.converter.Converter`.

    All precisions start from the same graph, with an open batch and weights quantized a channel
    each. ``int8`` takes and gives int8; every other precision takes and gives float32, also
    ``int16x8``. No artifact needs TensorFlow's own operations ("Flex") or custom ones.
    """

    name = "keras-tflite"
    kind = "keras"
    format = "tflite"
    precisions = ("float32", "float16", "int16x8", "int8-dynamic", "int8-float-io", "int8")

    def convert(
        self,
        source: Source,
        precision: str,
        calibration: CalibrationData | None,
        keep_float: Collection[str] = (),
    ) -> Artifact:
        """Make one ``.tflite`` file; see `edgevision.converter.SelectiveConverter.convert`.

        Raises:
            ConversionError: an operation has no kernel at this precision; names it.
        """
        check_request(self, precision, calibration, keep_float)
        model = keras_source(source)
        if calibration is not None and precision in INT8:
            content = _convert_int8(model, precision, calibration, keep_float)
        else:
            content = _convert(model, precision, calibration)
        return Artifact(self.format, precision, {"model.tflite": content})

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        check_request(self, precision, calibration)
        return layer_errors(int8_source(keras_source(source), calibration))


def _convert(source: KerasSource, precision: str, calibration: CalibrationData | None) -> bytes:
    tf = require_tensorflow()
    with _quiet(), _refusals(source, precision):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([source.trace.frozen])
        _set_precision(tf, converter, precision)
        if precision in CALIBRATED and calibration is not None:
            converter.representative_dataset = _representative(source, calibration)
        return bytes(converter.convert())


def _convert_int8(
    source: KerasSource, precision: str, calibration: CalibrationData, keep_float: Collection[str]
) -> bytes:
    made_from = int8_source(source, calibration)
    made_from.network(keep_float)  # refuses names of layers that there are not
    with _quiet(), _refusals(source, precision):
        content, kept = quantized(source, made_from, precision, keep_float)
    floats = _float_operations(content, kept)
    if floats:
        raise _failed(source, precision, f"no kernel for {', '.join(floats)}")
    return content


@contextmanager
def _refusals(source: KerasSource, precision: str) -> Iterator[None]:
    """The converter raises classes of its own, RuntimeError and ValueError for the same fault."""
    try:
        yield
    except EdgeVisionError:
        raise
    except Exception as error:
        raise _failed(source, precision, _cause(error)) from error


def _failed(source: KerasSource, precision: str, cause: str) -> ConversionError:
    return ConversionError(
        f"{source.path}: cannot be expressed in TFLite at {precision}: {cause}; "
        "try another precision, or replace the layer"
    )


def _float_operations(content: bytes, kept: Collection[str]) -> list[str]:
    """The operations that compute in float: the converter leaves them so, between two conversions.

    Args:
        content: an int8 file.
        kept: names of tensors whose operations were to stay float.
    """
    schema = require("tensorflow.lite.python.schema_py_generated")
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    found = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            tensors = [graph.tensors[place] for place in (*operator.inputs, *operator.outputs) if place >= 0]
            is_float = any(tensor.type == schema.TensorType.FLOAT32 for tensor in tensors)
            asked = any(tensor.name.decode() in kept for tensor in tensors)
            if is_float and not asked and name not in ("QUANTIZE", "DEQUANTIZE"):
                found.add(name)
    return sorted(found)


def _set_precision(tf: Any, converter: Any, precision: str) -> None:
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    elif precision == "int16x8":
        converter.target_spec.supported_ops = [
            sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]


def _representative(source: KerasSource, calibration: CalibrationData) -> Callable[[], Iterator[list[Array]]]:
    return lambda: ([inputs[spec.name] for spec in source.inputs] for inputs in calibration)


def _cause(error: Exception) -> str:
    """The operations that have no kernel, where the converter lists them; else its first line."""
    names = {str(item.operator.name) for item in getattr(error, "errors", [])}
    return f"no kernel for {', '.join(sorted(names))}" if names else first_line(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the converter says about its own inner steps."""
    logging = require("absl.logging")
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # It has the statistics, but looks where only quantization-aware training puts them.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
            # TensorFlow's own interpreter, which is here; the other is the device's.
            warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated", UserWarning)
            yield
    finally:
        logging.set_verbosity(before)
