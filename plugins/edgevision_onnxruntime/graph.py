"""An ONNX network that operations can be appended to, at its outputs and before its input."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError, MissingRuntimeError, first_line
from edgevision.tensors import Array

_UNARY = {"exp": "Exp", "log": "Log", "sigmoid": "Sigmoid", "softmax": "Softmax"}
_BINARY = {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "maximum": "Max"}
#: Of the names that are added.
_PREFIX = "edgevision/"


class OnnxGraph:
    """As `edgevision.graph.EditableGraph`: a network for one image. A tensor is its name.

    Args:
        artifact: the network.

    Raises:
        ArtifactError: the artifact is damaged.
        MissingRuntimeError: the package `onnx` is not installed.
    """

    def __init__(self, artifact: Artifact) -> None:
        try:
            self._onnx: Any = importlib.import_module("onnx")
        except (ImportError, OSError) as error:
            raise MissingRuntimeError(
                "convert", f"changing ONNX files needs onnx, which cannot be imported: {first_line(error)}"
            ) from error
        self._artifact = artifact
        try:
            self.model = self._onnx.load_from_string(artifact.content)
        except Exception as error:  # whatever protobuf raises
            raise ArtifactError(
                f"{artifact.name}: is not a valid ONNX model: {first_line(error)}; copy it again"
            ) from error
        self._graph = self.model.graph
        self._names: set[str] = set()
        self._shapes = {value.name: self._fixed(value) for value in (*self._graph.input, *self._graph.output)}

    def output(self, name: str) -> str:
        """As `Graph.output`."""
        names = [value.name for value in self._graph.output]
        if name not in names:
            raise ArtifactError(f"{self._artifact.name}: has no output '{name}', only {', '.join(names)}")
        return name

    def shape(self, tensor: str) -> tuple[int, ...]:
        """As `Graph.shape`."""
        return self._shapes[tensor]

    def constant(self, values: Array) -> str:
        """As `Graph.constant`."""
        return self._constant(np.asarray(values, np.float32))

    def unary(self, operation: str, tensor: str) -> str:
        """As `Graph.unary`."""
        if operation == "square":
            return self.binary("multiply", tensor, tensor)
        settings = {"axis": -1} if operation == "softmax" else {}
        return self._append(_UNARY[operation], [tensor], self.shape(tensor), **settings)

    def binary(self, operation: str, first: str, second: str) -> str:
        """As `Graph.binary`."""
        shape = np.broadcast_shapes(self.shape(first), self.shape(second))
        if operation == "equal":
            same = self._append("Equal", [first, second], shape)
            return self._append("Cast", [same], shape, to=self._onnx.TensorProto.FLOAT)
        return self._append(_BINARY[operation], [first, second], shape)

    def reshape(self, tensor: str, shape: Sequence[int]) -> str:
        """As `Graph.reshape`."""
        return self._append("Reshape", [tensor, self._integers(shape)], shape)

    def transpose(self, tensor: str, order: Sequence[int]) -> str:
        """As `Graph.transpose`."""
        shape = [self.shape(tensor)[axis] for axis in order]
        return self._append("Transpose", [tensor], shape, perm=list(order))

    def part(self, tensor: str, axis: int, start: int, stop: int) -> str:
        """As `Graph.part`."""
        shape = list(self.shape(tensor))
        shape[axis] = stop - start
        return self._append("Slice", [tensor, *(self._integers([n]) for n in (start, stop, axis))], shape)

    def concatenate(self, tensors: Sequence[str], axis: int) -> str:
        """As `Graph.concatenate`."""
        shape = list(self.shape(tensors[0]))
        shape[axis] = sum(self.shape(tensor)[axis] for tensor in tensors)
        return self._append("Concat", tensors, shape, axis=axis)

    def highest(self, tensor: str) -> str:
        """As `Graph.highest`."""
        shape = [*self.shape(tensor)[:-1], 1]
        return self._append("ReduceMax", [tensor], shape, axes=[len(shape) - 1], keepdims=1)

    def highest_of_neighbours(self, tensor: str) -> str:
        """As `Graph.highest_of_neighbours`."""
        planes = self.transpose(tensor, (0, 3, 1, 2))
        pooled = self._append("MaxPool", [planes], self.shape(planes), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return self.transpose(pooled, (0, 2, 3, 1))

    def set_outputs(self, outputs: Mapping[str, str]) -> None:
        """As `EditableGraph.set_outputs`."""
        del self._graph.output[:]
        for name, tensor in outputs.items():
            if name != tensor:
                self._graph.node.append(self._onnx.helper.make_node("Identity", [tensor], [name]))
            self._graph.output.append(
                self._onnx.helper.make_tensor_value_info(
                    name, self._onnx.TensorProto.FLOAT, self.shape(tensor)
                )
            )

    def take_pixels(self, mean: Array, scale: Array) -> None:
        """As `EditableGraph.take_pixels`."""
        if len(self._graph.input) != 1:
            raise ArtifactError(f"{self._artifact.name}: expected one input, got {len(self._graph.input)}")
        old = self._graph.input[0].name
        inner, before = self._free_name(old), len(self._graph.node)
        for node in self._graph.node:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = inner
        shape = self.shape(old)
        values = self._append("Cast", [old], shape, to=self._onnx.TensorProto.FLOAT)
        values = self.binary("subtract", values, self.constant(mean))
        values = self.binary("divide", values, self.constant(scale))
        self._graph.node.append(self._onnx.helper.make_node("Identity", [values], [inner]))
        added = list(self._graph.node[before:])
        kept = list(self._graph.node[:before])
        del self._graph.node[:]
        self._graph.node.extend([*added, *kept])
        del self._graph.input[:]
        self._graph.input.append(
            self._onnx.helper.make_tensor_value_info(old, self._onnx.TensorProto.UINT8, shape)
        )

    def artifact(self) -> Artifact:
        """As `EditableGraph.artifact`."""
        del self._graph.value_info[:]  # inner shapes may have an open batch
        for value in self._graph.input:
            self._fix(value)
        self._onnx.checker.check_model(self.model, full_check=True)
        return Artifact("onnx", self._artifact.precision, {"model.onnx": self.model.SerializeToString()})

    def _append(self, operation: str, inputs: Sequence[str], shape: Sequence[int], **settings: Any) -> str:
        name = self._free_name(operation.lower())
        self._graph.node.append(
            self._onnx.helper.make_node(operation, list(inputs), [name], name, **settings)
        )
        self._shapes[name] = tuple(int(size) for size in shape)
        return name

    def _integers(self, values: Sequence[int]) -> str:
        return self._constant(np.asarray(values, np.int64))

    def _constant(self, values: Array) -> str:
        name = self._free_name("constant")
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(values, name))
        self._shapes[name] = values.shape
        return name

    def _free_name(self, what: str) -> str:
        """A name that nothing in the graph has, which may have been appended to before."""
        if not self._names:
            nodes = self._graph.node
            self._names = {name for node in nodes for name in (node.name, *node.input, *node.output)}
            self._names |= {each.name for each in self._graph.initializer}
        numbered = (f"{_PREFIX}{what}_{number}" for number in count())
        name = next(name for name in numbered if name not in self._names)
        self._names.add(name)
        return name

    def _fix(self, value: Any) -> None:
        for size, fixed in zip(value.type.tensor_type.shape.dim, self._fixed(value), strict=True):
            size.Clear()
            size.dim_value = fixed

    @staticmethod
    def _fixed(value: Any) -> tuple[int, ...]:
        """The sizes of an input or output, of a batch of one."""
        sizes = value.type.tensor_type.shape.dim
        return tuple(size.dim_value or 1 for size in sizes)
