"""From a Keras model to TFLite."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from edgevision.artifact import CALIBRATED, Artifact, FloatOperation, QuantizationRecord
from edgevision.converter import CalibrationData, Source
from edgevision.errors import first_line
from edgevision_keras.failures import conversion_error, conversion_errors, listed
from edgevision_keras.graph.operator_layers import OperatorLayers
from edgevision_keras.graph.tflite_equivalents import tflite_converter
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.native_output import without_native_lines
from edgevision_keras.quantization.flow import FloatOperator, Operator
from edgevision_keras.quantization.full_integer import obstacles
from edgevision_keras.quantization.images import FittingImages
from edgevision_keras.quantization.plain import plain_tflite, tflite_tool
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.quantization.tflite import (
    float_operators,
    quantize,
    quantize_full_integer,
)
from edgevision_keras.request import INT8, Request, check_calibrated, check_request
from edgevision_keras.source import KerasSource

_NEXT_STEP = "replace the layer, or try another precision"


class TfliteConverter:
    """The converter ``keras-tflite``; see `edgevision.converter.SelectiveConverter`.

    All precisions start from the same graph, with an open batch and one weight scale per channel.
    ``int8`` has int8 inputs and outputs, every other precision float32 ones, also ``int16x8``. The outputs
    stay float32 where one joins tensors that one int8 scale cannot represent. In an int8 artifact, what has
    no int8 kernel, is slower in int8, or would lose too much, is computed in float. No artifact needs
    TensorFlow's own operations ("Flex") or custom ones.
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
        if precision in INT8:
            return _int8(request)
        if precision in CALIBRATED and calibration is not None:  # TensorFlow's own calibration suits 16 bits
            return self.convert_plain(source, precision, calibration)
        return Artifact(self.format, precision, {"model.tflite": _uncalibrated(request)})

    def convert_plain(self, source: Source, precision: str, calibration: CalibrationData) -> Artifact:
        """See `edgevision.converter.PlainConverter.convert_plain`."""
        request = check_calibrated(self, source, precision, calibration)
        with _converting(request):
            content = plain_tflite(request.source.trace, precision, FittingImages(calibration))
        floats = _named(request.source, float_operators(content, {}))
        record = QuantizationRecord("plain", tflite_tool(), float_operations=floats)
        return Artifact(self.format, precision, {"model.tflite": content}, record)

    def convert_full_integer(
        self, source: Source, precision: str, calibration: CalibrationData | None
    ) -> Artifact:
        """See `edgevision.converter.FullIntegerConverter.convert_full_integer`."""
        request = check_calibrated(self, source, precision, calibration)
        with _converting(request):
            _check_integer(request, obstacles(request.source.trace))
        prepared = request.prepared()
        with _converting(request):
            content, floats = quantize_full_integer(request.source.trace, prepared, precision)
            _check_integer(request, floats)
        return Artifact(self.format, precision, {"model.tflite": content}, prepared.record(tflite_tool()))

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        return layer_errors(check_request(self, source, precision, calibration).prepared())


def _uncalibrated(request: Request) -> bytes:
    tf = require_tensorflow()
    with _converting(request):
        converter = tflite_converter(request.source.trace.frozen)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if request.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if request.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def _int8(request: Request) -> Artifact:
    prepared = request.prepared()
    with _converting(request):
        content, floats = quantize(request.source.trace, prepared, request.precision, request.keep_float)
    record = replace(prepared.record(tflite_tool()), float_operations=_named(request.source, floats))
    return Artifact("tflite", request.precision, {"model.tflite": content}, record)


def _named(source: KerasSource, floats: Sequence[FloatOperator]) -> tuple[FloatOperation, ...]:
    """Operators with the layers that they belong to."""
    layers = OperatorLayers(source.trace, source.layer_names)
    return tuple(
        FloatOperation(each.operation, layers.layer_of(each.operation, each.name), each.reason)
        for each in floats
    )


def _check_integer(request: Request, found: Iterable[Operator | FloatOperator]) -> None:
    """Raise a ConversionError if there are operators without an integer equivalent."""
    layers = OperatorLayers(request.source.trace, request.source.layer_names)
    names = sorted({(each.operation, layers.layer_of(each.operation, each.name)) for each in found})
    if names:
        listing = ", ".join(f"{name} (layer '{layer}')" if layer else name for name, layer in names)
        raise conversion_error(
            request.source.path,
            "TFLite",
            f"{request.precision} without float operations",
            f"no integer equivalent of {listing}; replace the layer, or pass another --target",
        )


@contextmanager
def _converting(request: Request) -> Iterator[None]:
    with (
        _without_converter_output(),
        conversion_errors(request.source.path, "TFLite", request.precision, _cause),
    ):
        yield


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
    native = require("tensorflow.compiler.mlir.lite.python.wrap_converter")
    before = logging.get_verbosity(), native.wrapped_experimental_mlir_quantize
    logging.set_verbosity(logging.ERROR)
    native.wrapped_experimental_mlir_quantize = _quiet(before[1])
    try:
        with warnings.catch_warnings():
            # It has the statistics, but looks where only quantization-aware training puts them.
            warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
            # TensorFlow's own interpreter runs on the workstation; the device has another.
            warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter is deprecated", UserWarning)
            yield
    finally:
        logging.set_verbosity(before[0])
        native.wrapped_experimental_mlir_quantize = before[1]


def _quiet(quantize_natively: Callable[..., Any]) -> Callable[..., Any]:
    """The converter's quantizer without its line about its own settings, which it writes from C++."""

    @wraps(quantize_natively)
    def quiet(*arguments: Any, **options: Any) -> Any:
        with without_native_lines(b"fully_quantize: "):
            return quantize_natively(*arguments, **options)

    return quiet
