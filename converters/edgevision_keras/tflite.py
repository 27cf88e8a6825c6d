"""From a Keras model to TFLite."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgevision.artifact import CALIBRATED, Artifact
from edgevision.converter import CalibrationData, Source
from edgevision.errors import ConversionError, first_line
from edgevision.tensors import Array
from edgevision_keras.libraries import require, require_tensorflow
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

    def convert(self, source: Source, precision: str, calibration: CalibrationData | None) -> Artifact:
        """Make one ``.tflite`` file; see `edgevision.converter.Converter.convert`.

        Raises:
            ConversionError: an operation has no kernel at this precision; names it.
        """
        check_request(self, precision, calibration)
        model = keras_source(source)
        content = _convert(model, precision, calibration)
        return Artifact(self.format, precision, {"model.tflite": content})


def check_request(converter: Any, precision: str, calibration: CalibrationData | None) -> None:
    """Refuse what a converter cannot make.

    Raises:
        ConversionError: it lacks the precision, or the precision lacks its calibration set.
    """
    if precision not in converter.precisions:
        raise ConversionError(
            f"converter '{converter.name}' makes no {precision}; it makes: {', '.join(converter.precisions)}"
        )
    if precision in CALIBRATED and calibration is None:
        raise ConversionError(
            f"{converter.name}: {precision} needs calibration images: type --calibration DIR"
        )


def _convert(source: KerasSource, precision: str, calibration: CalibrationData | None) -> bytes:
    tf = require_tensorflow()
    with _quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([source.trace.frozen])
        _set_precision(tf, converter, precision)
        if precision in CALIBRATED and calibration is not None:
            converter.representative_dataset = _representative(source, calibration)
        # The converter raises classes of its own, RuntimeError and ValueError for the same fault.
        try:
            content = bytes(converter.convert())
        except Exception as error:
            raise _failed(source, precision, _cause(error)) from error
    if precision in ("int8", "int8-float-io"):
        floats = _float_operations(content)
        if floats:
            raise _failed(source, precision, f"no kernel for {', '.join(floats)}")
    return content


def _failed(source: KerasSource, precision: str, cause: str) -> ConversionError:
    return ConversionError(
        f"{source.path}: cannot be expressed in TFLite at {precision}: {cause}; "
        "try another precision, or replace the layer"
    )


def _float_operations(content: bytes) -> list[str]:
    """The operations that compute in float: the converter leaves them so, between two conversions."""
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
            if is_float and name not in ("QUANTIZE", "DEQUANTIZE"):
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
    elif precision in ("int8", "int8-float-io"):
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8]
    if precision == "int8":
        converter.inference_input_type = converter.inference_output_type = tf.int8


def _representative(source: KerasSource, calibration: CalibrationData) -> Callable[[], Iterator[list[Array]]]:
    return lambda: ([example[spec.name] for spec in source.inputs] for example in calibration)


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
            yield
    finally:
        logging.set_verbosity(before)
