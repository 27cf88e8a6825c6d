"""An OpenVINO network that operations can be appended to, at its outputs and before its input."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.system.reading import MOST_MODEL_BYTES, read_file
from edgevision.tensors import Array
from edgevision_openvino.model import read_model
from edgevision_openvino.runtime import import_openvino

_BINARY = ("add", "subtract", "multiply", "divide", "maximum")


class OpenVINOGraph:
    """As `edgevision.graph.EditableGraph`: a network for one image. A tensor is an output of a node.

    Args:
        artifact: the network.

    Raises:
        ArtifactError: OpenVINO refuses the artifact.
        MissingRuntimeError: OpenVINO is not installed.
    """

    def __init__(self, artifact: Artifact) -> None:
        self._openvino = import_openvino()
        self._operations: Any = self._openvino.opset13
        self._where, self._artifact = artifact.name, artifact
        self.model = read_model(artifact)
        self._reshape_to_one()
        self._outputs = {port.get_any_name(): port.get_node().input_value(0) for port in self.model.outputs}

    @property
    def input(self) -> Any:
        """The only input, a parameter.

        Raises:
            ArtifactError: there are several.
        """
        parameters = self.model.get_parameters()
        if len(parameters) != 1:
            raise ArtifactError(f"{self._where}: expected one input, got {len(parameters)}")
        return parameters[0]

    def output(self, name: str) -> Any:
        """As `Graph.output`."""
        if name not in self._outputs:
            raise ArtifactError(f"{self._where}: has no output '{name}', only {', '.join(self._outputs)}")
        return self.as_float(self._outputs[name])

    def as_float(self, tensor: Any) -> Any:
        """A tensor in float32."""
        if tensor.get_element_type() == self._openvino.Type.f32:
            return tensor
        return self._operations.convert(tensor, "f32").output(0)

    def shape(self, tensor: Any) -> tuple[int, ...]:
        """As `Graph.shape`."""
        return tuple(int(size) for size in tensor.get_shape())

    def constant(self, values: Array) -> Any:
        """As `Graph.constant`."""
        return self._operations.constant(np.asarray(values, np.float32)).output(0)

    def unary(self, operation: str, tensor: Any) -> Any:
        """As `Graph.unary`."""
        if operation == "softmax":
            return self._operations.softmax(tensor, len(self.shape(tensor)) - 1).output(0)
        if operation == "square":
            return self.binary("multiply", tensor, tensor)
        return getattr(self._operations, operation)(tensor).output(0)

    def binary(self, operation: str, first: Any, second: Any) -> Any:
        """As `Graph.binary`."""
        if operation == "equal":
            return self.as_float(self._operations.equal(first, second).output(0))
        if operation not in _BINARY:
            raise ValueError(operation)
        return getattr(self._operations, operation)(first, second).output(0)

    def reshape(self, tensor: Any, shape: Sequence[int]) -> Any:
        """As `Graph.reshape`."""
        return self._operations.reshape(tensor, np.asarray(shape, np.int64), False).output(0)

    def transpose(self, tensor: Any, order: Sequence[int]) -> Any:
        """As `Graph.transpose`."""
        return self._operations.transpose(tensor, np.asarray(order, np.int64)).output(0)

    def part(self, tensor: Any, axis: int, start: int, stop: int) -> Any:
        """As `Graph.part`."""
        begin, end, step, axes = (np.asarray([value], np.int64) for value in (start, stop, 1, axis))
        return self._operations.slice(tensor, begin, end, step, axes).output(0)

    def concatenate(self, tensors: Sequence[Any], axis: int) -> Any:
        """As `Graph.concatenate`."""
        return self._operations.concat(list(tensors), axis).output(0)

    def highest(self, tensor: Any) -> Any:
        """As `Graph.highest`."""
        axis = np.asarray([len(self.shape(tensor)) - 1], np.int64)
        return self._operations.reduce_max(tensor, axis, keep_dims=True).output(0)

    def highest_of_neighbours(self, tensor: Any) -> Any:
        """As `Graph.highest_of_neighbours`."""
        planes = self.transpose(tensor, (0, 3, 1, 2))
        one = [1, 1]
        pooled = self._operations.max_pool(planes, one, one, one, one, [3, 3]).output(0)
        return self.transpose(pooled, (0, 2, 3, 1))

    def set_outputs(self, outputs: Mapping[str, Any]) -> None:
        """Make these the network's outputs: name -> tensor."""
        results = []
        for name, tensor in outputs.items():
            tensor.get_tensor().set_names({name})
            result = self._operations.result(tensor)
            result.set_friendly_name(name)
            results.append(result)
        self.model = self._openvino.Model(results, self.model.get_parameters(), "edgevision")

    def take_pixels(self, mean: Array, scale: Array) -> None:
        """As `EditableGraph.take_pixels`."""
        old = self.input
        new = self._operations.parameter(old.output(0).get_shape(), self._openvino.Type.u8, "image")
        new.output(0).get_tensor().set_names(old.output(0).get_names())
        values = self.as_float(new.output(0))
        values = self.binary("subtract", values, self.constant(mean))
        values = self.binary("divide", values, self.constant(scale))
        for target in old.output(0).get_target_inputs():
            target.replace_source_output(values)
        self.model = self._openvino.Model(self.model.get_results(), [new], "edgevision")

    def artifact(self) -> Artifact:
        """As `EditableGraph.artifact`: OpenVINO writes only to a path."""
        with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
            path = Path(folder, "model.xml")
            self._openvino.save_model(self.model, path, compress_to_fp16=False)
            files = {
                each.name: read_file(each, MOST_MODEL_BYTES) for each in (path, path.with_suffix(".bin"))
            }
        return Artifact("openvino", self._artifact.precision, files)

    def _reshape_to_one(self) -> None:
        for port in self.model.inputs:
            shape = port.partial_shape
            if shape.rank.is_static and len(shape) and shape[0].is_dynamic:
                shape[0] = 1
                self.model.reshape({port.get_any_name(): shape})
