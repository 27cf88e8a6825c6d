"""int8 ONNX in the form that TensorRT takes: inputs and weights of layers rounded, sums left whole."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require, require_onnxruntime, require_tensorflow
from edgevision_keras.quantization.folding import Folded, Layer, add_constant, in_order, same_padding
from edgevision_keras.quantization.prepare import Int8Source

#: What TensorRT gains by. The defaults also quantize the final Softmax, and a network of a
#: thousand classes then answers nothing.
_QUANTIZED_OPERATIONS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Add")
_WITH_WEIGHTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


def with_centred_inputs(
    made_from: Int8Source, network: Folded
) -> tuple[Folded, dict[str, tuple[float, float]]]:
    """The network with what first convolutions and dense layers see moved to have zero in the middle.

    TensorRT's int8 is symmetric: pixels of 0 to 255 would have half of its levels, a step of two. So
    the middle is subtracted from them, and what the weights make of it is added to the bias. Between
    convolutions that would cost a pass over memory, and is not done.

    Returns:
        the network, and the ranges of its new tensors.
    """
    graph = type(network.graph)()
    graph.CopyFrom(network.graph)
    before = network.imported()
    behind = _behind_layers(before, network)
    layers: list[Layer] = []
    ranges: dict[str, tuple[float, float]] = {}
    for layer in network.layers:
        way = _way_from_input(before, layer, behind)
        low, high = made_from.range_of(way[-1].name) if way else (0.0, 0.0)
        if not way or abs(low + high) < 0.1 * (high - low) or low == high:
            layers.append(layer)
            continue
        step = (high - low) / 255
        middle = low + 128 * step
        made = _centre(graph, layer, way, middle)
        ranges |= {f"{name}:0": (-127 * step, 127 * step) for name in made}
        axes = tuple(range(layer.weight.ndim - 1))
        bias = layer.bias + middle * layer.weight.sum(axis=axes, dtype=np.float64)
        layers.append(replace(layer, bias=bias.astype(np.float32), padding="VALID", input=f"{made[-1]}:0"))
    return replace(network, graph=graph).with_layers(layers), ranges


def _behind_layers(graph: Any, network: Folded) -> set[str]:
    """Names of tensors that a layer has had its part in."""
    behind: set[str] = {layer.output for layer in network.layers}
    for operation in in_order(graph):
        if any(tensor.name in behind for tensor in operation.inputs):
            behind.update(tensor.name for tensor in operation.outputs)
    return behind


def _way_from_input(graph: Any, layer: Layer, behind: Collection[str]) -> list[Any]:
    """From a layer's input up to what is padded; empty where that cannot be moved."""
    if layer.kind == "dense":
        return [graph.get_tensor_by_name(layer.input)]
    if layer.kind != "conv" or layer.input in behind or layer.padding not in ("SAME", "VALID"):
        return []
    way = [graph.get_tensor_by_name(layer.input)]
    while way[-1].op.type in ("Pad", "Identity"):
        way.append(way[-1].op.inputs[0])
    return way


def _centre(graph: Any, layer: Layer, way: list[Any], middle: float) -> list[str]:
    """Put a subtraction, and paddings of what zero is then, before a convolution; names them."""
    tf = require_tensorflow()
    kind = tf.float32.as_datatype_enum
    constant = partial(add_constant, graph)
    name = f"{layer.operation}/centred"
    node = graph.node.add(op="Sub", name=name, input=[way[-1].name, constant(f"{name}/middle", middle)])
    node.attr["T"].type = kind
    made = [name]
    paddings = [tensor.op.inputs[1].name for tensor in reversed(way) if tensor.op.type == "Pad"]
    (convolution,) = [node for node in graph.node if node.name == layer.node]
    if layer.padding == "SAME":
        shapes = [
            tensor.shape.as_list()[1:3] for tensor in (way[0], way[0].graph.get_tensor_by_name(layer.output))
        ]
        paddings.append(constant(f"{name}/same", _same_padding(layer, *shapes)))
        convolution.attr["padding"].s = b"VALID"
    for number, padding in enumerate(paddings):
        value = constant(f"{name}/value_{number}", -middle)
        node = graph.node.add(op="PadV2", name=f"{name}/pad_{number}", input=[made[-1], padding, value])
        node.attr["T"].type, node.attr["Tpaddings"].type = kind, tf.int32.as_datatype_enum
        made.append(node.name)
    convolution.input[0] = made[-1]
    return made


def _same_padding(layer: Layer, given: list[int], made: list[int]) -> list[list[int]]:
    """Zeros on each side of each axis, as TensorFlow's SAME has them."""
    sides = [same_padding(layer, axis, given[axis], made[axis]) for axis in (0, 1)]
    return [[0, 0], *([before, after] for before, after in sides), [0, 0]]


def quantized(
    content: bytes,
    made_from: Int8Source,
    network: Folded,
    centred: Mapping[str, tuple[float, float]],
    keep_float: Collection[str],
) -> Any:
    """The int8 model of a float32 file.

    Args:
        content: the file.
        made_from: what `network` was made from.
        network: with rounded weights.
        centred: ranges of tensors that only `network` has.
        keep_float: names of layers.
    """
    quantization = require("onnxruntime.quantization", "onnx")
    prepare = require("onnxruntime.quantization.shape_inference", "onnx").quant_pre_process
    onnx = require("onnx")
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        float32, prepared, made = (Path(folder, f"{step}.onnx") for step in ("float32", "prepared", "int8"))
        float32.write_bytes(content)
        prepare(float32, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        values = _values(onnx, model, made_from)
        ranges = made_from.ranges_in(values, network, symmetric=True, others=centred)
        kept = made_from.kept_in(_weights(onnx, model), keep_float)
        quantization.quantize_static(
            prepared,
            made,
            _reader(quantization, made_from),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED_OPERATIONS),
            nodes_to_exclude=sorted(kept),
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                # What a convolution gives goes on to an addition or a rectifier in full; TensorRT
                # computes both in the same kernel.
                "OpTypesToExcludeOutputQuantization": list(_QUANTIZED_OPERATIONS),
                "TensorQuantOverrides": {
                    name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
                    for name, (low, high) in ranges.items()
                },
            },
        )
        result = onnx.load(made)
    _leave_sums_whole(result)
    return result


def _values(onnx: Any, model: Any, made_from: Int8Source) -> dict[str, Array]:
    """Name of a tensor -> what it holds when the float model sees the probe."""
    runtime = require_onnxruntime()
    probing = onnx.ModelProto()
    probing.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(model).graph
    floats = [
        value.name
        for value in (*inferred.value_info, *inferred.input)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    inputs = {value.name for value in model.graph.input}
    known = {value.name for value in model.graph.output}
    names = [name for name in floats if name not in known | inputs]
    probing.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(
        probing.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    every = [*names, *known]
    probe = dict(made_from.probe())
    results = dict(zip(every, session.run(every, probe), strict=True))
    return results | {name: values for name, values in probe.items() if name in inputs}


def _weights(onnx: Any, model: Any) -> dict[str, Array]:
    """Name of an operation -> its constant weights."""
    constants = {one.name: one for one in model.graph.initializer}
    return {
        node.name: onnx.numpy_helper.to_array(constants[node.input[1]])
        for node in model.graph.node
        if node.op_type in _WITH_WEIGHTS and node.input[1] in constants
    }


def _leave_sums_whole(model: Any) -> None:
    """Take the rounding away from one of the two that are added: what a layer has just made.

    TensorRT adds the other, which is int8, in the layer's own kernel.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for node in [node for node in model.graph.node if node.op_type == "Add"]:
        for place in (1, 0):
            pair = _rounding_of(makers, node.input[place])
            if pair is None or pair[0].input[0] not in makers:
                continue
            alone = all(
                readers[name] == 1 for name in (node.input[place], *pair[1].input[:1], pair[0].input[0])
            )
            if alone and makers[pair[0].input[0]].op_type in _WITH_WEIGHTS:
                node.input[place] = pair[0].input[0]
                for one in pair:
                    model.graph.node.remove(one)
                break
    used = {name for node in model.graph.node for name in node.input}
    for constant in [constant for constant in model.graph.initializer if constant.name not in used]:
        model.graph.initializer.remove(constant)


def _rounding_of(makers: Mapping[str, Any], name: str) -> tuple[Any, Any] | None:
    """The QuantizeLinear and DequantizeLinear that give a tensor, if they do."""
    second = makers.get(name)
    first = None if second is None else makers.get(second.input[0])
    if first is None or second is None:
        return None
    is_pair = (first.op_type, second.op_type) == ("QuantizeLinear", "DequantizeLinear")
    return (first, second) if is_pair else None


def _reader(quantization: Any, made_from: Int8Source) -> Any:
    """Calibration data as ONNX Runtime asks for it: one batch a call, then ``None``."""

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Mapping[str, Array]] = iter(made_from.images)

        def get_next(self) -> dict[str, Array] | None:
            batch = next(self._batches, None)
            return None if batch is None else dict(batch)

    return Reader()
