"""int8 TFLite: calibrated by the converter, with our ranges, quantized by the converter."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.quantization.folding import Folded, freeze
from edgevision_keras.quantization.prepare import Int8Source
from edgevision_keras.source import KerasSource

_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def quantized(
    source: KerasSource, made_from: Int8Source, precision: str, keep_float: Collection[str]
) -> tuple[bytes, frozenset[str]]:
    """The file, and the names of its tensors that were to stay float.

    Raises:
        ConversionError: there is no layer of a name in `keep_float`.
    """
    tf = require_tensorflow()
    convert = require("tensorflow.lite.python.convert")
    network = made_from.network(keep_float)
    calibrated = _calibrated(tf, source, made_from, network)
    schema = require("tensorflow.lite.python.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(calibrated, 0))
    kept = _kept(schema, model, made_from, keep_float)
    _set_ranges(tf, model, calibrated, made_from, network)
    edge = tf.int8 if precision == "int8" else tf.float32
    content = convert.mlir_quantize(
        _packed(model), input_data_type=edge, output_data_type=edge, denylisted_nodes=sorted(kept)
    )
    return bytes(content), frozenset(kept)


def _calibrated(tf: Any, source: KerasSource, made_from: Int8Source, network: Folded) -> bytes:
    """The float model with the extremes of each tensor, as the quantizer reads them."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([freeze(source.trace, network.graph)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: _one_by_one(source, made_from)
    converter._experimental_calibrate_only = True  # as tf.lite.experimental.QuantizationDebugger has it
    return bytes(converter.convert())


def _one_by_one(source: KerasSource, made_from: Int8Source) -> Iterator[list[Array]]:
    for batch in made_from.images:
        for place in range(len(batch[source.inputs[0].name])):
            yield [batch[spec.name][place : place + 1] for spec in source.inputs]


def _set_ranges(tf: Any, model: Any, calibrated: bytes, made_from: Int8Source, network: Folded) -> None:
    """Write our ranges over those that the converter has seen."""
    values = _values(tf, calibrated, made_from)
    names = {str(place): array for place, array in values.items()}
    ranges = made_from.ranges_in(names, network)
    for place, tensor in enumerate(model.subgraphs[0].tensors):
        if str(place) in ranges and tensor.quantization is not None and tensor.quantization.min is not None:
            low, high = ranges[str(place)]
            tensor.quantization.min = np.array([low], np.float32)
            tensor.quantization.max = np.array([high], np.float32)


def _values(tf: Any, content: bytes, made_from: Int8Source) -> dict[int, Array]:
    """Place of a tensor -> what it holds when the float model sees the probe."""
    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    probe = made_from.probe()
    for name, detail in _inputs(interpreter).items():
        interpreter.set_tensor(detail["index"], probe[name])
    interpreter.invoke()
    constants = _constants(content)
    found = {}
    for detail in interpreter.get_tensor_details():
        if detail["dtype"] == np.float32 and detail["index"] not in constants:
            try:
                found[detail["index"]] = interpreter.get_tensor(detail["index"])
            except ValueError:  # the runtime's own scratch
                continue
    return found


def _inputs(interpreter: Any) -> Mapping[str, Any]:
    """Name in the source -> the interpreter's own description."""
    signature = interpreter.get_input_details()
    return {detail["name"].split(":")[0].removeprefix("serving_default_"): detail for detail in signature}


def _constants(content: bytes) -> set[int]:
    schema = require("tensorflow.lite.python.schema_py_generated")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    tensors = model.subgraphs[0].tensors
    return {place for place, tensor in enumerate(tensors) if model.buffers[tensor.buffer].data is not None}


def _kept(schema: Any, model: Any, made_from: Int8Source, keep_float: Collection[str]) -> set[str]:
    """Names of what the operations give that hold the weights of layers in `keep_float`."""
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
    return set(made_from.kept_in(weights, keep_float))


def _packed(model: Any) -> bytes:
    flatbuffers = require("flatbuffers")
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
