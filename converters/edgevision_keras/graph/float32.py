"""A frozen graph in float32, whatever float types its model was trained in.

Models of mixed precision keep float32 variables, and cast them to 16 bits for the processor that trained
them. No target has these types in the same places, so that every artifact, and the source itself, starts
from the graph in float32. Models in float64 lose digits that no target has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgevision_keras.graph.freezing import nodes_of
from edgevision_keras.graph.nodes import as_identity
from edgevision_keras.libraries import require_tensorflow

_LARGEST = np.finfo(np.float32).max
_OF_SHAPES = frozenset({"Rank", "Shape", "ShapeN", "Size"})


def to_float32(definition: Any) -> frozenset[str]:
    """Change a GraphDef without variables so that it computes in float32.

    Returns:
        The other float types that it computed outputs in: ``float16``, ``bfloat16``, ``float64``.
    """
    tf = require_tensorflow()
    others = {dtype.as_datatype_enum: dtype.name for dtype in (tf.float16, tf.bfloat16, tf.float64)}
    computing = _computing_nodes(definition)
    found: set[str] = set()
    for node in nodes_of(definition):
        kinds = others.keys() & set(_types(node))
        if kinds:
            if node.name in computing:
                found.update(others[kind] for kind in kinds)
            _retype(tf, node, others)
    for function in definition.library.function:
        for argument in (*function.signature.input_arg, *function.signature.output_arg):
            if argument.type in others:
                argument.type = tf.float32.as_datatype_enum
    return frozenset(found)


def _computing_nodes(definition: Any) -> set[str]:
    """Names of the nodes that compute with values of the inputs, and not with their shapes."""
    consumers: dict[str, list[Any]] = {}
    for node in definition.node:
        for name in node.input:
            consumers.setdefault(name.partition(":")[0], []).append(node)
    pending = [node.name for node in definition.node if node.op == "Placeholder"]
    found = set(pending)
    while pending:
        for node in consumers.get(pending.pop(), []):
            if node.name not in found and node.op not in _OF_SHAPES:
                found.add(node.name)
                pending.append(node.name)
    return found


def _types(node: Any) -> Iterator[int]:
    for attr in node.attr.values():
        if attr.WhichOneof("value") == "type":
            yield attr.type
        elif attr.WhichOneof("value") == "list":
            yield from attr.list.type


def _retype(tf: Any, node: Any, others: dict[int, str]) -> None:
    float32 = tf.float32.as_datatype_enum
    if node.op == "Const":
        values = np.asarray(tf.make_ndarray(node.attr["value"].tensor), np.float64)
        # A constant such as the least float64 stands for "very small", and must not become infinite.
        inside = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), values)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(inside.astype(np.float32)))
    for attr in node.attr.values():
        if attr.WhichOneof("value") == "type" and attr.type in others:
            attr.type = float32
        elif attr.WhichOneof("value") == "list":
            attr.list.type[:] = [float32 if kind in others else kind for kind in attr.list.type]
    if node.op == "Cast" and node.attr["SrcT"].type == node.attr["DstT"].type:
        as_identity(node, float32)
