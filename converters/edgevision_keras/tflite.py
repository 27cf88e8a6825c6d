"""From a Keras model to TFLite."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from edgevision.artifact import CALIBRATED, Artifact, QuantizationRecord
from edgevision.converter import CalibrationData, Source
from edgevision.errors import first_line
from edgevision_keras.failures import conversion_error, conversion_errors, listed
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.quantization.images import FittingImages
from edgevision_keras.quantization.plain import plain_tflite, tflite_tool
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.quantization.tflite import quantize
from edgevision_keras.request import INT8, Request, check_calibrated, check_request

_NEXT_STEP = "replace the layer, or try another precision"


class TfliteConverter:
    """The converter ``keras-tflite``; see `edgevision.converter.SelectiveConverter`.

    All precisions start from the same graph, with an open batch and one weight scale per channel.
    ``int8`` has int8 inputs and outputs, every other precision float32 ones, also ``int16x8``. No
    artifact needs TensorFlow's own operations ("Flex") or custom ones.
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
        """Convert to one ``.tflite`` file; see `edgevision.converter.SelectiveConverter.convert`.

        Raises:
            ConversionError: an operation has no kernel at this precision; names it.
        """
        request = check_request(self, source, precision, calibration, keep_float)
        if precision not in CALIBRATED:
            return Artifact(self.format, precision, {"model.tflite": _uncalibrated(request)})
        if precision not in INT8 and calibration is not None:  # TensorFlow's own calibration suits 16 bits
            return self.convert_plain(source, precision, calibration)
        content = _int8(request)
        record = request.prepared().record(
            f"TFLiteConverter of TensorFlow {require_tensorflow().__version__}"
        )
        return Artifact(self.format, precision, {"model.tflite": content}, record)

    def convert_plain(self, source: Source, precision: str, calibration: CalibrationData) -> Artifact:
        """See `edgevision.converter.PlainConverter.convert_plain`."""
        request = check_calibrated(self, source, precision, calibration)
        with _converting(request):
            content = plain_tflite(request.source.trace, precision, FittingImages(calibration))
        record = QuantizationRecord("plain", tflite_tool())
        return Artifact(self.format, precision, {"model.tflite": content}, record)

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        return layer_errors(check_request(self, source, precision, calibration).prepared())


def _uncalibrated(request: Request) -> bytes:
    tf = require_tensorflow()
    with _converting(request):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([request.source.trace.frozen])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if request.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if request.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def _int8(request: Request) -> bytes:
    prepared = request.prepared()
    with _converting(request):
        content, kept = quantize(request.source.trace, prepared, request.precision, request.keep_float)
    floats = _float_operations(content, kept)
    if floats:
        cause = f"no kernel for {', '.join(floats)}; {_NEXT_STEP}"
        raise conversion_error(request.source.path, "TFLite", request.precision, cause)
    return content


@contextmanager
def _converting(request: Request) -> Iterator[None]:
    with (
        _without_converter_output(),
        conversion_errors(request.source.path, "TFLite", request.precision, _cause),
    ):
        yield


def _float_operations(content: bytes, kept: Collection[str]) -> list[str]:
    """The operations that compute in float: the converter leaves them so, between two conversions.

    Args:
        content: an int8 file.
        kept: names of tensors whose operations stay float on request.
    """
    schema = require("tensorflow.lite.python.schema_py_generated")
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    floats = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            tensors = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
            is_float = any(tensor.type == schema.TensorType.FLOAT32 for tensor in tensors)
            is_requested = any(tensor.name.decode() in kept for tensor in tensors)
            if is_float and not is_requested and name not in ("QUANTIZE", "DEQUANTIZE"):
                floats.add(name)
    return sorted(floats)


def _cause(error: Exception) -> str:
    """The operations that have no kernel, if the converter lists them; else its first line."""
    operations = [
        (item.operator.name.removeprefix("tf."), call.name)
        for item in getattr(error, "errors", [])
        for call in item.location.call[:1]
    ]
    cause = f"no kernel for {listed(operations)}" if operations else first_line(error)
    return f"{cause}; {_NEXT_STEP}"


@contextmanager
def _without_converter_output() -> Iterator[None]:
    """A context in which the log and the warnings of the converter about its own steps are dropped."""
    logging = require("absl.logging")
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # It has the statistics, but looks where only quantization-aware training puts them.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
            # TensorFlow's own interpreter runs on the workstation; the device has another.
            warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated", UserWarning)
            yield
    finally:
        logging.set_verbosity(before)
