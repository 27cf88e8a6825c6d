"""int8 TFLite: calibrated and quantized by TensorFlow's converter, with our own weights and ranges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.quantization.folding import FoldedGraph, freeze
from edgevision_keras.quantization.prepare import PreparedNetwork

_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def quantize(
    trace: Trace, prepared: PreparedNetwork, precision: str, keep_float: Collection[str]
) -> tuple[bytes, frozenset[str]]:
    """Quantize a prepared network.

    Args:
        trace: of the source.
        prepared: the network.
        precision: ``int8`` or ``int8-float-io``.
        keep_float: names of layers that stay float.

    Returns:
        The file, and the names of its tensors that stay float.

    Raises:
        ConversionError: there is no layer of a name in `keep_float`.
    """
    tf = require_tensorflow()
    convert = require("tensorflow.lite.python.convert")
    graph = prepared.rounded_graph(keep_float)
    calibrated = _calibrated(tf, trace, prepared, graph)
    schema = require("tensorflow.lite.python.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(calibrated, 0))
    kept = _kept(schema, model, prepared, keep_float)
    _set_ranges(tf, model, calibrated, prepared, graph)
    interface = tf.int8 if precision == "int8" else tf.float32
    content = convert.mlir_quantize(
        _packed(model), input_data_type=interface, output_data_type=interface, denylisted_nodes=sorted(kept)
    )
    return bytes(content), frozenset(kept)


def _calibrated(tf: Any, trace: Trace, prepared: PreparedNetwork, graph: FoldedGraph) -> bytes:
    """The float model with the extremes of each tensor, as the quantizer reads them."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([freeze(trace, graph.definition)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: _one_by_one(trace, prepared)
    converter._experimental_calibrate_only = True  # as tf.lite.experimental.QuantizationDebugger has it
    return bytes(converter.convert())


def _one_by_one(trace: Trace, prepared: PreparedNetwork) -> Iterator[list[Array]]:
    for batch in prepared.images:
        for index in range(len(batch[trace.inputs[0].name])):
            yield [batch[spec.name][index : index + 1] for spec in trace.inputs]


def _set_ranges(
    tf: Any, model: Any, calibrated: bytes, prepared: PreparedNetwork, graph: FoldedGraph
) -> None:
    """Replace the ranges that the converter measured by our own."""
    values = _probe_values(tf, calibrated, prepared)
    ranges = prepared.ranges_in({str(index): array for index, array in values.items()}, graph)
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        if str(index) in ranges and tensor.quantization is not None and tensor.quantization.min is not None:
            low, high = ranges[str(index)]
            tensor.quantization.min = np.array([low], np.float32)
            tensor.quantization.max = np.array([high], np.float32)


def _probe_values(tf: Any, content: bytes, prepared: PreparedNetwork) -> dict[int, Array]:
    """Index of a tensor -> its values when the float model runs on the probe."""
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    probe = prepared.probe()
    for name, detail in _inputs(interpreter).items():
        interpreter.set_tensor(detail["index"], probe[name])
    interpreter.invoke()
    constants = _constants(content)
    values = {}
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] == np.float32 and detail["index"] not in constants:
            try:
                values[detail["index"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # a temporary tensor of the runtime
                continue
    return values


def _inputs(interpreter: Any) -> Mapping[str, Any]:
    """Name in the source -> the interpreter's details of the input."""
    details = interpreter.get_input_details()
    return {detail["name"].split(":")[0].removeprefix("serving_default_"): detail for detail in details}


def _constants(content: bytes) -> set[int]:
    """Indices of the tensors with constant values."""
    schema = require("tensorflow.lite.python.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    tensors = model.subgraphs[0].tensors
    return {index for index, tensor in enumerate(tensors) if model.buffers[tensor.buffer].data is not None}


def _kept(schema: Any, model: Any, prepared: PreparedNetwork, keep_float: Collection[str]) -> set[str]:
    """Names of the output tensors of the layers in `keep_float`."""
    if not keep_float:
        return set()
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if name.isupper()}
    graph = model.subgraphs[0]
    weights = {}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if names[max(code.builtinCode, code.deprecatedBuiltinCode)] in _WITH_WEIGHTS:
            data = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
            if data is not None:
                name = graph.tensors[operator.outputs[0]].name.decode()
                weights[name] = np.frombuffer(bytes(data), np.float32)
    return set(prepared.kept_in(weights, keep_float))


def _packed(model: Any) -> bytes:
    flatbuffers = require("flatbuffers")
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
