"""The source's graph with each layer folded into one operation with constant weights and one bias.

Batch normalization, biases and factors that follow a convolution or a matrix multiplication are
folded into its weights, as every converter would do itself. Folded here, once, the weights that are
rounded for int8 are exactly those of the three formats.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.fake_quantization import has_trained_range
from edgevision_keras.graph.nodes import add_constant
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require, require_tensorflow
from edgevision_keras.quantization.sessions import GraphSession

_KINDS = {"Conv2D": "conv", "DepthwiseConv2dNative": "depthwise", "MatMul": "dense"}
_AFFINE = frozenset({"BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv", "FusedBatchNormV3", "Identity"})
#: Operations on shapes, not on activations.
SHAPES = frozenset({"Shape", "StridedSlice", "Pack", "Prod", "NoOp"})


@dataclass(frozen=True)
class Layer:
    """One operation with constant weights, with the affine operations after it folded in.

    Attributes:
        name: name of the operation in the frozen graph, without the common prefix ``source/``.
        operation: the full name.
        kind: ``conv``, ``depthwise`` or ``dense``.
        weight: (height, width, inputs, outputs) float32; (inputs, outputs) where dense;
            (height, width, channels, multiplier) where depthwise.
        bias: (outputs,) float32.
        input, output: names of tensors; the output includes the bias.
        strides, dilations: (height, width).
        padding: ``SAME`` or ``VALID``; others are not supported.
    """

    name: str
    operation: str
    kind: str
    weight: Array
    bias: Array
    input: str
    output: str
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: str = "VALID"

    @property
    def node(self) -> str:
        """Name of the node in the folded graph that multiplies."""
        # In a layer without a bias of its own, the added bias takes over the name of the operation.
        renamed = self.output == f"{self.operation}:0"
        return f"{self.operation}/unbiased" if renamed else self.operation

    @property
    def matrix(self) -> Array:
        """The weights as (inputs, outputs), or (places, channels) where depthwise."""
        if self.kind == "depthwise":
            return self.weight.reshape(self.weight.shape[0] * self.weight.shape[1], -1)
        return self.weight.reshape(-1, self.weight.shape[-1])

    def with_outputs_scaled(self, factor: Array, bias: Array | float = 0.0) -> Layer:
        """The layer with weights and bias times `factor`, one per output, plus `bias`."""
        flat = self.weight.reshape(*self.weight.shape[:2], -1) if self.kind == "depthwise" else self.weight
        weight = (flat * factor).reshape(self.weight.shape)
        return replace(self, weight=_float32(weight), bias=_float32(self.bias * factor + bias))

    def with_inputs_scaled(self, factor: Array) -> Layer:
        """The layer with weights times `factor`, one per input channel."""
        return replace(self, weight=_float32(self.weight * factor[:, None]))


@dataclass(frozen=True)
class FoldedGraph:
    """A folded graph.

    Attributes:
        structure: TensorFlow's GraphDef, with zeros for the weights and biases of `layers`: they are large,
            and few that read a graph need them.
        layers: its layers, in the order in which they run.
        inputs, outputs: names of its tensors, in the source's order.
    """

    structure: Any
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def with_layers(self, layers: Sequence[Layer]) -> FoldedGraph:
        """The same graph with the weights and biases of `layers`."""
        return replace(self, layers=tuple(layers))

    @property
    def definition(self) -> Any:
        """A new GraphDef with the weights and biases."""
        definition = copied(self.structure)
        nodes: Mapping[str, Any] = {node.name: node for node in definition.node}
        for name, values in self.weights.items():
            tensor = require_tensorflow().make_tensor_proto(values)
            nodes[name.removesuffix(":0")].attr["value"].tensor.CopyFrom(tensor)
        return definition

    @property
    def weights(self) -> dict[str, Array]:
        """Name of a tensor of weights or of a bias -> its values, which are zeros in `structure`."""
        return {
            f"{name}:0": values
            for layer in self.layers
            for name, values in ((_weight_name(layer), layer.weight), (_bias_name(layer), layer.bias))
        }

    def imported(self) -> Any:
        """A new `tf.Graph` with its operations, and zeros for the weights."""
        return imported(self.structure)


def imported(definition: Any) -> Any:
    """A new `tf.Graph` with the operations of a GraphDef."""
    tf = require_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    return graph


def fold(trace: Trace) -> FoldedGraph:
    """The frozen graph of a source, folded, with the same outputs."""
    tf = require_tensorflow()
    graph = trace.frozen.graph
    definition = graph.as_graph_def()
    dependent = input_dependent_tensors(graph)
    outputs = {tensor.op.name for tensor in trace.frozen.outputs}
    ends = [
        (operation, _end_of_affine(operation, dependent, outputs))
        for operation in graph.get_operations()
        if _has_constant_weights(operation, dependent)
    ]
    layers = []
    for (operation, end), (weight, factor, offset) in zip(ends, _folded_constants(trace, ends), strict=True):
        layers.append(_layer(operation, end, weight).with_outputs_scaled(factor, offset))
        _replace(tf, definition, layers[-1])
    for operation in graph.get_operations():
        if operation.type == "AvgPool" and _is_global(operation):
            _make_mean(tf, definition, operation)
    _drop_annotations(definition)
    definition = tf.compat.v1.graph_util.extract_sub_graph(definition, sorted(outputs))
    names = [tuple(tensor.name for tensor in side) for side in (trace.frozen.inputs, trace.frozen.outputs)]
    return FoldedGraph(definition, tuple(layers), *names)


def freeze(trace: Trace, definition: Any, batch: int | None = None) -> Any:
    """A GraphDef with the inputs and outputs of `trace`, as a concrete function for converters.

    Args:
        trace: of the source.
        definition: the graph.
        batch: the only batch that the function takes; `None` for any.
    """
    tf = require_tensorflow()
    convert = require("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2

    def imported(*images: Any) -> list[Any]:
        results = tf.graph_util.import_graph_def(
            definition,
            input_map={tensor.name: image for tensor, image in zip(trace.frozen.inputs, images, strict=True)},
            return_elements=[tensor.name for tensor in trace.frozen.outputs],
            name="int8",
        )
        return [
            tf.identity(result, name=spec.name) for spec, result in zip(trace.outputs, results, strict=True)
        ]

    specs = [
        tf.TensorSpec((batch, *tensor.shape[1:]), tf.float32, name=spec.name)
        for spec, tensor in zip(trace.inputs, trace.frozen.inputs, strict=True)
    ]
    return convert(tf.compat.v1.wrap_function(imported, specs), aggressive_inlining=True)


def same_padding(layer: Layer, axis: int, input_size: int, output_size: int) -> tuple[int, int]:
    """(before, after): the zeros that TensorFlow's SAME adds at the ends of an axis."""
    reach = (layer.weight.shape[axis] - 1) * layer.dilations[axis] + 1
    total = int(max((output_size - 1) * layer.strides[axis] + reach - input_size, 0))
    return total // 2, total - total // 2


def copied(definition: Any) -> Any:
    """A copy of a GraphDef."""
    copy = type(definition)()
    copy.CopyFrom(definition)
    return copy


def input_dependent_tensors(graph: Any) -> set[str]:
    """Names of the tensors that depend on an input of the graph."""
    dependent: set[str] = set()
    for operation in in_topological_order(graph):
        if operation.type == "Placeholder" or any(tensor.name in dependent for tensor in operation.inputs):
            dependent.update(tensor.name for tensor in operation.outputs)
    return dependent


def in_topological_order(graph: Any) -> list[Any]:
    """The operations of a graph, each after those that compute its inputs."""
    done: dict[str, Any] = {}
    for first in graph.get_operations():
        pending = [first]
        while pending:
            operation = pending[-1]
            waiting = [tensor.op for tensor in operation.inputs if tensor.op.name not in done]
            if waiting:
                pending.extend(waiting)
            else:
                done.setdefault(pending.pop().name, operation)
    return list(done.values())


def _has_constant_weights(operation: Any, dependent: Collection[str]) -> bool:
    if operation.type not in _KINDS or operation.inputs[1].name in dependent:
        return False
    if operation.inputs[0].name not in dependent or operation.inputs[0].dtype.name != "float32":
        return False
    if operation.type == "MatMul":
        return not (operation.get_attr("transpose_a") or operation.get_attr("transpose_b"))
    return bool(operation.get_attr("data_format") == b"NHWC")


def _end_of_affine(operation: Any, dependent: Collection[str], outputs: Collection[str]) -> Any:
    """The last tensor that is one factor and one offset per channel of the operation's output."""
    end = tensor = operation.outputs[0]
    while True:
        following = tensor.consumers()
        if tensor.op.name in outputs or len(following) != 1 or following[0].name in outputs:
            return end
        if not _is_affine(following[0], tensor, dependent) or has_trained_range(following[0].node_def):
            return end
        tensor = following[0].outputs[0]
        if following[0].type != "Identity":
            end = tensor


def _is_affine(operation: Any, tensor: Any, dependent: Collection[str]) -> bool:
    others = [other for other in operation.inputs if other is not tensor]
    if operation.type not in _AFFINE or any(other.name in dependent for other in others):
        return False
    if operation.type in ("RealDiv", "FusedBatchNormV3") and operation.inputs[0] is not tensor:
        return False
    if operation.type == "FusedBatchNormV3":
        return not operation.get_attr("is_training")
    channels = tensor.shape[-1]
    return all(_is_per_channel(other.shape.as_list(), channels) for other in others)


def _is_per_channel(shape: Sequence[int], channels: int) -> bool:
    return all(size == 1 for size in shape[:-1]) and (not shape or shape[-1] in (1, channels))


def _folded_constants(trace: Trace, ends: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Array, Array, Array]]:
    """(weights, factor, offset) of each operation with the affine operations up to its end."""
    if not ends:
        return
    starts = [operation.outputs[0] for operation, _ in ends]
    session = GraphSession(trace.frozen.graph)
    weights = session.function([operation.inputs[1] for operation, _ in ends], [])()
    until = session.function([end for _, end in ends], starts)
    shapes = [[size or 1 for size in start.shape.as_list()] for start in starts]
    zeros, ones = (until(*(np.full(shape, value, np.float32) for shape in shapes)) for value in (0.0, 1.0))
    for weight, zero, one in zip(weights, zeros, ones, strict=True):
        factor, offset = (values.reshape(-1, values.shape[-1])[0] for values in (one - zero, zero))
        yield weight, factor, offset


def _layer(operation: Any, end: Any, weight: Array) -> Layer:
    geometry: dict[str, Any] = {}
    if operation.type != "MatMul":
        geometry = {key: tuple(operation.get_attr(key)[1:3]) for key in ("strides", "dilations")}
        geometry["padding"] = operation.get_attr("padding").decode()
    return Layer(
        name=operation.name.removeprefix("source/"),
        operation=operation.name,
        kind=_KINDS[operation.type],
        weight=weight,
        bias=np.zeros(int(operation.outputs[0].shape[-1]), np.float32),
        input=operation.inputs[0].name,
        output=f"{end.op.name}:0",
        **geometry,
    )


def _replace(tf: Any, graph: Any, layer: Layer) -> None:
    """Replace a layer's operations in `graph` by one with weights and one with a bias."""
    nodes = {node.name: node for node in graph.node}
    last = nodes[layer.output.removesuffix(":0")]
    node = nodes[layer.operation]
    if node is last:  # no bias: a new operation takes over the old one's output
        node = graph.node.add()
        node.CopyFrom(last)
        node.name = layer.node
    node.input[1] = _weight_name(layer)
    bias = graph.node.add(op="BiasAdd", name=last.name, input=[node.name, _bias_name(layer)])
    bias.attr["T"].type = tf.float32.as_datatype_enum
    bias.attr["data_format"].s = b"NHWC"
    last.CopyFrom(bias)
    graph.node.remove(bias)
    for name, values in ((_weight_name(layer), layer.weight), (_bias_name(layer), layer.bias)):
        node = graph.node.add(op="Const", name=name)
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0.0, tf.float32, values.shape))


def _is_global(pooling: Any) -> bool:
    """Return whether it pools each image to a single position."""
    size = list(pooling.get_attr("ksize"))[1:3]
    whole = pooling.get_attr("data_format") == b"NHWC" and pooling.get_attr("padding") == b"VALID"
    return bool(whole and pooling.inputs[0].shape.as_list()[1:3] == size)


def _make_mean(tf: Any, graph: Any, pooling: Any) -> None:
    """Replace it by a mean: TFLite's pooling forces the scale of its input on its output."""
    (node,) = [node for node in graph.node if node.name == pooling.name]
    source = node.input[0]
    kind = node.attr["T"].type
    node.ClearField("input")
    node.ClearField("attr")
    node.op = "Mean"
    node.input.extend([source, add_constant(graph, f"{node.name}/axes", [1, 2])])
    node.attr["T"].type, node.attr["Tidx"].type = kind, tf.int32.as_datatype_enum
    node.attr["keep_dims"].b = True


def _drop_annotations(definition: Any) -> None:
    """Remove control inputs and attributes that refer to other parts of the original graph."""
    for node in definition.node:
        inputs = [name for name in node.input if not name.startswith("^")]
        node.ClearField("input")
        node.input.extend(inputs)
        node.attr.pop("_class", None)
        # Keras's swish has a custom gradient, which cannot be called outside of its graph.
        node.attr.pop("_gradient_op_type", None)


def _weight_name(layer: Layer) -> str:
    return f"{layer.operation}/folded_weight"


def _bias_name(layer: Layer) -> str:
    return f"{layer.operation}/folded_bias"


def _float32(values: Array) -> Array:
    return np.asarray(values, np.float32)
