"""int8 ONNX in the form that TensorRT expects: inputs and weights of layers quantized, sums in float."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from edgevision_keras.graph.nodes import add_constant
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folding import (
    FoldedGraph,
    Layer,
    copied,
    in_topological_order,
    same_padding,
)
from edgevision_keras.quantization.onnx_float_model import WITH_WEIGHTS, OnnxFloatModel
from edgevision_keras.quantization.prepare import PreparedNetwork

#: The operations that are faster in int8 on TensorRT. The defaults also quantize the final Softmax, and
#: the scores of a network of a thousand classes then round to zero.
_QUANTIZED_OPERATIONS = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Add")
_MATRIX = 2


def with_centred_inputs(
    prepared: PreparedNetwork, graph: FoldedGraph
) -> tuple[FoldedGraph, dict[str, tuple[float, float]]]:
    """The graph with the inputs of first convolutions and of dense layers centred at zero.

    TensorRT's int8 is symmetric: pixels of 0 to 255 would use half of its levels, in steps of two. So
    the middle of the range is subtracted from them, and its product with the weights added to the bias.
    Between convolutions that would cost a pass over memory, and is not done.

    Returns:
        The graph, and the ranges of its new tensors.
    """
    definition = copied(graph.structure)
    before = graph.imported()
    behind = _behind_layers(before, graph)
    layers: list[Layer] = []
    ranges: dict[str, tuple[float, float]] = {}
    for layer in graph.layers:
        path = _path_to_padding(before, layer, behind)
        low, high = prepared.range_of(path[-1].name) if path else (0.0, 0.0)
        if not path or abs(low + high) < 0.1 * (high - low) or low == high:
            layers.append(layer)
            continue
        step = (high - low) / 255
        middle = low + 128 * step
        added = _centre(definition, layer, path, middle)
        ranges |= {f"{name}:0": (-127 * step, 127 * step) for name in added}
        axes = tuple(range(layer.weight.ndim - 1))
        bias = layer.bias + middle * layer.weight.sum(axis=axes, dtype=np.float64)
        layers.append(replace(layer, bias=bias.astype(np.float32), padding="VALID", input=f"{added[-1]}:0"))
    return replace(graph, structure=definition).with_layers(layers), ranges


def _behind_layers(imported: Any, graph: FoldedGraph) -> set[str]:
    """Names of the tensors that depend on the output of a layer."""
    behind: set[str] = {layer.output for layer in graph.layers}
    for operation in in_topological_order(imported):
        if any(tensor.name in behind for tensor in operation.inputs):
            behind.update(tensor.name for tensor in operation.outputs)
    return behind


def _path_to_padding(imported: Any, layer: Layer, behind: Collection[str]) -> list[Any]:
    """The tensors from a layer's input up to the one that is padded; empty if it cannot be centred."""
    if layer.kind == "dense":
        return [imported.get_tensor_by_name(layer.input)]
    if layer.kind != "conv" or layer.input in behind or layer.padding not in ("SAME", "VALID"):
        return []
    path = [imported.get_tensor_by_name(layer.input)]
    while path[-1].op.type in ("Pad", "Identity"):
        path.append(path[-1].op.inputs[0])
    return path


def _centre(definition: Any, layer: Layer, path: list[Any], middle: float) -> list[str]:
    """Insert a subtraction, and paddings with the shifted zero, before a layer; returns their names."""
    tf = require_tensorflow()
    kind = tf.float32.as_datatype_enum
    constant = partial(add_constant, definition)
    name = f"{layer.operation}/centred"
    node = definition.node.add(op="Sub", name=name, input=[path[-1].name, constant(f"{name}/middle", middle)])
    node.attr["T"].type = kind
    added = [name]
    paddings = [tensor.op.inputs[1].name for tensor in reversed(path) if tensor.op.type == "Pad"]
    (operation,) = [node for node in definition.node if node.name == layer.node]
    if layer.padding == "SAME":
        shapes = [
            tensor.shape.as_list()[1:3]
            for tensor in (path[0], path[0].graph.get_tensor_by_name(layer.output))
        ]
        paddings.append(constant(f"{name}/same", _same_padding(layer, *shapes)))
        operation.attr["padding"].s = b"VALID"
    for number, padding in enumerate(paddings):
        value = constant(f"{name}/value_{number}", -middle)
        node = definition.node.add(op="PadV2", name=f"{name}/pad_{number}", input=[added[-1], padding, value])
        node.attr["T"].type, node.attr["Tpaddings"].type = kind, tf.int32.as_datatype_enum
        added.append(node.name)
    operation.input[0] = added[-1]
    return added


def _same_padding(layer: Layer, input_hw: list[int], output_hw: list[int]) -> list[list[int]]:
    """TensorFlow's SAME as [before, after] of each axis."""
    sides = [same_padding(layer, axis, input_hw[axis], output_hw[axis]) for axis in (0, 1)]
    return [[0, 0], *([before, after] for before, after in sides), [0, 0]]


def quantize(
    content: bytes,
    prepared: PreparedNetwork,
    graph: FoldedGraph,
    centred: Mapping[str, tuple[float, float]],
    keep_float: Collection[str],
) -> Any:
    """Quantize a float32 file.

    Args:
        content: `graph` as a float32 ONNX file.
        prepared: the network that `graph` was rounded from.
        graph: the graph with rounded weights and centred inputs.
        centred: ranges of the tensors that are in `graph` and not in `prepared`.
        keep_float: names of layers that stay float.

    Returns:
        An `onnx.ModelProto`.
    """
    model = OnnxFloatModel(content)
    ranges = model.ranges(prepared, graph, symmetric=True, extra_ranges=centred)
    excluded = {
        *(model.without_ranges(ranges) if prepared.trained_ranges is not None else ()),
        *prepared.kept_in(model.weights(), keep_float),
        *_additions_of_constants(model),
        *_products_of_stacks(model),
    }
    quantized = [
        node.name
        for node in model.nodes
        if node.op_type in _QUANTIZED_OPERATIONS and node.name not in excluded
    ]
    # The output of a convolution reaches an addition or a rectifier in float; TensorRT computes both in the
    # same kernel.
    result = model.quantized(quantized, ranges, _QUANTIZED_OPERATIONS, symmetric=True)
    _keep_sums_in_float(result)
    return result


def _additions_of_constants(model: OnnxFloatModel) -> set[str]:
    """Names of the additions of a constant, such as a rescaling's: no kernel of a layer has the addition."""
    return {
        node.name
        for node in model.nodes
        if node.op_type == "Add" and any(name in model.constants for name in node.input)
    }


def _products_of_stacks(model: OnnxFloatModel) -> set[str]:
    """Names of the products with a stack of constant matrices: runtimes refuse a scale per channel of it."""
    stacks = {name for name, tensor in model.constants.items() if len(tensor.dims) > _MATRIX}
    return {
        node.name
        for node in model.nodes
        if node.op_type == "MatMul" and any(name in stacks for name in node.input)
    }


def _keep_sums_in_float(model: Any) -> None:
    """Remove the quantization of one of the two addends: the output of the layer before.

    TensorRT adds the other, which is int8, in the layer's own kernel.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    readers = Counter(name for node in model.graph.node for name in node.input)
    for node in [node for node in model.graph.node if node.op_type == "Add"]:
        for position in (1, 0):
            pair = _quantization_of(producers, node.input[position])
            if pair is None or pair[0].input[0] not in producers:
                continue
            is_only_reader = all(
                readers[name] == 1 for name in (node.input[position], *pair[1].input[:1], pair[0].input[0])
            )
            if is_only_reader and producers[pair[0].input[0]].op_type in WITH_WEIGHTS:
                node.input[position] = pair[0].input[0]
                for rounding in pair:
                    model.graph.node.remove(rounding)
                break
    used = {name for node in model.graph.node for name in node.input}
    for constant in [constant for constant in model.graph.initializer if constant.name not in used]:
        model.graph.initializer.remove(constant)


def _quantization_of(producers: Mapping[str, Any], name: str) -> tuple[Any, Any] | None:
    """The QuantizeLinear and DequantizeLinear that produce a tensor; `None` for other producers."""
    second = producers.get(name)
    first = None if second is None else producers.get(second.input[0])
    if first is None or second is None:
        return None
    is_pair = (first.op_type, second.op_type) == ("QuantizeLinear", "DequantizeLinear")
    return (first, second) if is_pair else None
