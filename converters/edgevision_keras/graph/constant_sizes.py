"""Sizes that a frozen graph computes at run time, as constants: only the batch is not known before.

Keras computes the shapes for reshaping, cropping and loops from those of its inputs. Runtimes then do not
know the sizes of what follows: TFLite's and ONNX Runtime's fast kernels are not used, float16 ONNX files
have sizes in float16, and tf2onnx declares wrong ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.nodes import add_constant, as_constant
from edgevision_keras.libraries import require_tensorflow

_BATCHES = (2, 3)
#: Operations whose result depends on the shape of their input alone.
_SIZES = frozenset({"Shape", "Size"})
#: Operation -> the input that is a shape in which -1 stands for any size.
_OPEN_SHAPES = {
    "Reshape": 1,
    "TensorListFromTensor": 1,
    "TensorListReserve": 0,
    "TensorListStack": 1,
}
#: Numbers that a constant may have: a file with more would be larger than what it saves.
_MOST_NUMBERS = 1_000_000


def make_sizes_constant(frozen: Any, definition: Any, nodes: Mapping[str, Any]) -> bool:
    """Replace what a graph computes from sizes that do not depend on the batch by constants.

    Args:
        frozen: a concrete function of constants.
        definition: its GraphDef; is changed.
        nodes: name -> node of `definition`.

    Returns:
        True if `definition` was changed.
    """
    if not any(operation.type in _SIZES for operation in frozen.graph.get_operations()):
        return False
    two, three = (_Sized(frozen, definition, batch) for batch in _BATCHES)
    shapes = _open_shapes(two, three)
    constants = {
        name: values
        for name, values in two.values.items()
        if name in three.values and np.array_equal(values, three.values[name])
    }
    for name, values in constants.items():
        as_constant(nodes[name], np.asarray(values))
    for number, (name, position, sizes) in enumerate(shapes):
        if name in constants:  # a table of places, reshaped
            continue
        kind = "Tshape" if nodes[name].op == "Reshape" else "shape_type"
        shape = add_constant(definition, f"{name}/constant_shape_{number}", np.array(sizes, np.int32))
        nodes[name].input[position] = shape
        nodes[name].attr[kind].type = require_tensorflow().int32.as_datatype_enum
    return bool(constants or shapes)


class _Sized:
    """A graph with a fixed batch, and the values in it that follow from sizes alone.

    Attributes:
        operations: its operations by their names in the frozen graph.
        values: name of an operation -> its only output.
    """

    def __init__(self, frozen: Any, definition: Any, batch: int) -> None:
        tf = require_tensorflow()
        self._graph = tf.Graph()
        with self._graph.as_default():
            inputs = {
                tensor.name: tf.compat.v1.placeholder(tensor.dtype, [batch, *tensor.shape[1:]])
                for tensor in frozen.inputs
            }
            tf.graph_util.import_graph_def(definition, input_map=inputs, name="sized")
        self.operations = {
            operation.name.removeprefix("sized/"): operation
            for operation in self._graph.get_operations()
            if operation.name.startswith("sized/")
        }
        self.values = self._evaluated(self._known())

    def _known(self) -> dict[str, bool]:
        """Name of an operation that computes from sizes and constants -> whether sizes are among them."""
        known: dict[str, bool] = {}
        for operation in self._graph.get_operations():  # each comes after those that it reads
            inputs = [tensor.op.name for tensor in operation.inputs]
            if operation.type in _SIZES:
                if operation.inputs[0].shape.is_fully_defined():
                    known[operation.name] = True
            elif operation.type == "Const":
                known[operation.name] = False
            elif inputs and all(name in known for name in inputs) and _only_computes(operation):
                known[operation.name] = any(known[name] for name in inputs)
        return known

    def _evaluated(self, known: Mapping[str, bool]) -> dict[str, Array]:
        tf = require_tensorflow()
        operations = [self._graph.get_operation_by_name(name) for name, of_sizes in known.items() if of_sizes]
        tensors = [
            operation.outputs[0].name
            for operation in operations
            if len(operation.outputs) == 1
            and (operation.outputs[0].shape.num_elements() or 0) < _MOST_NUMBERS
        ]
        if not tensors:
            return {}
        ends = sorted({name.partition(":")[0] for name in tensors})
        small = tf.compat.v1.graph_util.extract_sub_graph(self._small(known), ends)
        with tf.Graph().as_default() as graph, tf.device("/CPU:0"):
            tf.graph_util.import_graph_def(small, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            found = session.run(tensors)
        return {
            name.partition(":")[0].removeprefix("sized/"): values
            for name, values in zip(tensors, found, strict=True)
        }

    def _small(self, names: Collection[str]) -> Any:
        """The graph of some operations, with sizes as constants."""
        definition = require_tensorflow().compat.v1.GraphDef()
        for operation in self._graph.get_operations():
            if operation.name in names:
                node = definition.node.add()
                node.CopyFrom(operation.node_def)
                if operation.type in _SIZES:
                    shape = operation.inputs[0].shape
                    kind = operation.outputs[0].dtype.as_numpy_dtype
                    sizes = shape.as_list() if operation.type == "Shape" else shape.num_elements()
                    as_constant(node, np.array(sizes, kind))
        return definition


def _only_computes(operation: Any) -> bool:
    """Return whether an operation depends on nothing but its inputs, and calls no function."""
    calls = any(attr.HasField("func") for attr in operation.node_def.attr.values())
    kinds = [tensor.dtype for tensor in operation.outputs]
    return not operation.op_def.is_stateful and not calls and all(kind.is_numpy_compatible for kind in kinds)


def _open_shapes(two: _Sized, three: _Sized) -> list[tuple[str, int, list[int]]]:
    """(operation, input, sizes) of shapes in which one size alone depends on the batch, as -1."""
    found = []
    for name, operation in two.operations.items():
        position = _OPEN_SHAPES.get(operation.type)
        if position is None or operation.inputs[position].op.type == "Const":
            continue
        if operation.type == "Reshape":  # the result's shape may be known where the argument's value is not
            first, second = (_shape(sized.operations[name].outputs[0]) for sized in (two, three))
        else:
            source = operation.inputs[position].op.name.removeprefix("sized/")
            first, second = (_listed(sized.values.get(source)) for sized in (two, three))
        if first is None or second is None or len(first) != len(second):
            continue
        sizes = [size if size == other else -1 for size, other in zip(first, second, strict=True)]
        if sizes.count(-1) <= 1 and None not in sizes and 0 not in sizes:
            found.append((name, position, [int(size) for size in sizes if size is not None]))
    return found


def _shape(tensor: Any) -> list[int | None] | None:
    return None if tensor.shape.rank is None else list(tensor.shape.as_list())


def _listed(values: Array | None) -> list[int | None] | None:
    return None if values is None or np.ndim(values) != 1 else [int(value) for value in values]
