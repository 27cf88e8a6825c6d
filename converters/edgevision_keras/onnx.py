"""From a Keras model to ONNX."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from edgevision.artifact import Artifact, FloatOperation, QuantizationRecord
from edgevision.converter import CalibrationData, Source
from edgevision_keras.failures import conversion_errors
from edgevision_keras.graph.operator_layers import OperatorLayers
from edgevision_keras.libraries import require
from edgevision_keras.onnx_export import checked_file, export
from edgevision_keras.quantization import onnx_asymmetric, onnx_symmetric
from edgevision_keras.quantization.folding import freeze
from edgevision_keras.quantization.images import FittingImages
from edgevision_keras.quantization.plain import onnx_tool, plain_onnx
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.request import INT8, Request, check_calibrated, check_request


class OnnxConverter:
    """The converter ``keras-onnx``; see `edgevision.converter.SelectiveConverter`.

    Inputs and outputs are float32 at every precision. ``int8`` is in QDQ form, with one weight scale per
    channel, and has the form that ONNX Runtime computes in integers on a CPU: uint8 activations with a zero
    point, also those after convolutions.

    Args:
        symmetric_int8: ``int8`` has the form that TensorRT expects instead: int8 activations without a zero
            point, with inputs and weights of layers quantized and sums in float.
    """

    name = "keras-onnx"
    kind = "keras"
    format = "onnx"
    precisions = ("float32", "float16", "int8")

    def __init__(self, symmetric_int8: bool = False) -> None:
        self._symmetric_int8 = symmetric_int8

    def symmetric(self) -> OnnxConverter:
        """As `edgevision.converter.SymmetricConverter.symmetric`."""
        return OnnxConverter(symmetric_int8=True)

    def convert(
        self,
        source: Source,
        precision: str,
        calibration: CalibrationData | None,
        keep_float: Collection[str] = (),
    ) -> Artifact:
        """Convert to one ``.onnx`` file; see `edgevision.converter.SelectiveConverter.convert`.

        Raises:
            MissingRuntimeError: tf2onnx, or for ``int8`` ONNX Runtime, is not installed.
            ConversionError: an operation has no ONNX equivalent, or the outputs of the file differ
                from those of the source.
        """
        request = check_request(self, source, precision, calibration, keep_float)
        if precision in INT8:
            return self._int8(request)
        return Artifact(self.format, precision, {"model.onnx": _float(request)})

    def convert_plain(self, source: Source, precision: str, calibration: CalibrationData) -> Artifact:
        """See `edgevision.converter.PlainConverter.convert_plain`."""
        request = check_calibrated(self, source, precision, calibration)
        float32, images = request.source.float32_onnx, FittingImages(calibration)
        with conversion_errors(request.source.path, "ONNX", precision):
            model = plain_onnx(float32, images, symmetric=self._symmetric_int8)
        files = {"model.onnx": checked_file(request.source, precision, model)}
        return Artifact(self.format, precision, files, QuantizationRecord("plain", onnx_tool()))

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        return layer_errors(check_request(self, source, precision, calibration).prepared())

    def _int8(self, request: Request) -> Artifact:
        model, floats = (_symmetric(request), ()) if self._symmetric_int8 else _asymmetric(request)
        record = request.prepared().record(onnx_tool(), symmetric=self._symmetric_int8)
        content = checked_file(request.source, request.precision, model)
        return Artifact(
            self.format,
            request.precision,
            {"model.onnx": content},
            replace(record, float_operations=floats),
        )


def _float(request: Request) -> bytes:
    content = request.source.float32_onnx
    if request.precision == "float16":
        return checked_file(request.source, "float16", _to_float16(content))
    return content


def _asymmetric(request: Request) -> tuple[Any, tuple[FloatOperation, ...]]:
    """The model for ONNX Runtime's CPU kernels, and its operations in float."""
    source, prepared = request.source, request.prepared()
    graph = prepared.rounded_graph(request.keep_float)
    content = export(source, request.precision, freeze(source.trace, graph.definition))
    with conversion_errors(source.path, "ONNX", request.precision):
        model, floats = onnx_asymmetric.quantize(content, prepared, graph, request.keep_float)
    layers = OperatorLayers(source.trace, source.layer_names)
    named = (
        FloatOperation(each.operation, layers.layer_of(each.operation, each.name), each.reason)
        for each in floats
    )
    return model, tuple(named)


def _symmetric(request: Request) -> Any:
    """The model for TensorRT."""
    source, prepared = request.source, request.prepared()
    rounded = prepared.rounded_graph(request.keep_float)
    graph, centred = onnx_symmetric.with_centred_inputs(prepared, rounded)
    content = export(source, request.precision, freeze(source.trace, graph.definition))
    with conversion_errors(source.path, "ONNX", request.precision):
        return onnx_symmetric.quantize(content, prepared, graph, centred, request.keep_float)


def _to_float16(content: bytes) -> Any:
    float16 = require("onnxconverter_common.float16")
    model = require("onnx").load_from_string(content)
    _give_constants_of_their_own(model, float16.DEFAULT_OP_BLOCK_LIST)
    converted = float16.convert_float_to_float16(
        model,
        min_positive_val=5.96e-8,
        max_finite_val=65504.0,
        keep_io_types=True,
    )
    _cast_as_declared(converted)
    return converted


def _cast_as_declared(model: Any) -> None:
    """Let the model's own casts to float give float16, as the converter declares their outputs."""
    kinds = require("onnx").TensorProto
    declared = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type == "Cast" and declared.get(node.output[0]) == kinds.FLOAT16:
            node.attribute[0].i = kinds.FLOAT16


def _give_constants_of_their_own(model: Any, float32_operations: Collection[str]) -> None:
    """Let operations that stay in float32 share no constant with the others, which would get its old type.

    Args:
        model: a `ModelProto`; is changed.
        float32_operations: the types of operations that stay in float32.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    others = {
        name for node in model.graph.node if node.op_type not in float32_operations for name in node.input
    }
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if node.op_type in float32_operations and name in constants and name in others:
                own = model.graph.initializer.add()
                own.CopyFrom(constants[name])
                own.name = f"{name}/of/{node.name}/{place}"
                node.input[place] = own.name
