"""From a Keras model to ONNX."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from edgevision.artifact import Artifact, QuantizationRecord
from edgevision.converter import CalibrationData, Source
from edgevision_keras.failures import conversion_errors
from edgevision_keras.libraries import require
from edgevision_keras.onnx_export import checked_file, export
from edgevision_keras.quantization.folding import freeze
from edgevision_keras.quantization.images import FittingImages
from edgevision_keras.quantization.onnx import quantize, with_centred_inputs
from edgevision_keras.quantization.plain import onnx_tool, plain_onnx
from edgevision_keras.quantization.sensitivity import layer_errors
from edgevision_keras.request import INT8, Request, check_calibrated, check_request


class OnnxConverter:
    """The converter ``keras-onnx``; see `edgevision.converter.SelectiveConverter`.

    Inputs and outputs are float32 at every precision. ``int8`` has the form that TensorRT expects: QDQ,
    symmetric, one scale per channel, with inputs and weights of layers quantized and sums in float. On a
    CPU or with CUDA alone it is no faster; a small network took 2.7 times the time of float32 on a CPU.
    """

    name = "keras-onnx"
    kind = "keras"
    format = "onnx"
    precisions = ("float32", "float16", "int8")

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
        files = {"model.onnx": _content(request)}
        record = request.prepared().record(onnx_tool(), symmetric=True) if precision in INT8 else None
        return Artifact(self.format, precision, files, record)

    def convert_plain(self, source: Source, precision: str, calibration: CalibrationData) -> Artifact:
        """See `edgevision.converter.PlainConverter.convert_plain`."""
        request = check_calibrated(self, source, precision, calibration)
        with conversion_errors(request.source.path, "ONNX", precision):
            model = plain_onnx(request.source.float32_onnx, FittingImages(calibration))
        files = {"model.onnx": checked_file(request.source, precision, model)}
        return Artifact(self.format, precision, files, QuantizationRecord("plain", onnx_tool()))

    def sensitivities(
        self, source: Source, precision: str, calibration: CalibrationData
    ) -> Sequence[tuple[str, float]]:
        """See `edgevision.converter.SelectiveConverter.sensitivities`."""
        return layer_errors(check_request(self, source, precision, calibration).prepared())


def _content(request: Request) -> bytes:
    if request.precision in INT8:
        return _int8(request)
    content = request.source.float32_onnx
    if request.precision == "float16":
        return checked_file(request.source, "float16", _to_float16(content))
    return content


def _int8(request: Request) -> bytes:
    source, prepared = request.source, request.prepared()
    graph, centred = with_centred_inputs(prepared, prepared.rounded_graph(request.keep_float))
    content = export(source, request.precision, freeze(source.trace, graph.definition))
    with conversion_errors(source.path, "ONNX", request.precision):
        model = quantize(content, prepared, graph, centred, request.keep_float)
    return checked_file(source, request.precision, model)


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
