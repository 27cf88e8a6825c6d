"""Nodes of a GraphDef: constants and identities."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow


def constant(tensor: Any) -> Any | None:
    """The values of a tensor that is a constant, else `None`."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return require_tensorflow().get_static_value(tensor)


def add_constant(graph: Any, name: str, values: Any) -> str:
    """Add a float32 constant, or int32 for integers, to a GraphDef, and return its name."""
    array = np.asarray(values)
    as_constant(graph.node.add(name=name), array.astype(np.int32 if array.dtype.kind == "i" else np.float32))
    return name


def as_constant(node: Any, values: Array) -> None:
    """Make a node of a GraphDef a constant of the dtype of `values`."""
    tf = require_tensorflow()
    node.ClearField("input")
    node.ClearField("attr")
    node.op = "Const"
    node.attr["dtype"].type = tf.as_dtype(values.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))


def as_identity(node: Any, kind: int) -> None:
    """Make a node of a GraphDef pass its first input on.

    Args:
        node: the node.
        kind: dtype of that input, as TensorFlow's number.
    """
    first = node.input[0]
    node.ClearField("input")
    node.ClearField("attr")
    node.op = "Identity"
    node.input.append(first)
    node.attr["T"].type = kind
