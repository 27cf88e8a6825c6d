"""Operations of a frozen graph replaced by others that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgevision_keras.graph.nodes import as_identity
from edgevision_keras.graph.rewrites import with_definition
from edgevision_keras.libraries import require_tensorflow

#: A function of an operation and of its inputs, symbolic tensors; returns a tensor, or `None` where the
#: operation has another form than the function can express.
Equivalent = Callable[..., Any]


def with_equivalents(frozen: Any, equivalents: Mapping[str, Equivalent]) -> Any:
    """A frozen concrete function with the same names, inputs and outputs, and operations replaced.

    Args:
        frozen: a concrete function of constants, without function calls.
        equivalents: as for `substitute`.
    """
    if not any(operation.type in equivalents for operation in frozen.graph.get_operations()):
        return frozen
    definition = frozen.graph.as_graph_def()
    return with_definition(frozen, definition) if substitute(definition, equivalents) else frozen


def substitute(definition: Any, equivalents: Mapping[str, Equivalent]) -> bool:
    """Replace the operations that have an equivalent; in place.

    Args:
        definition: a GraphDef without function calls. Names of nodes stay.
        equivalents: type of an operation with one output -> the equivalent.

    Returns:
        True if `definition` was changed.
    """
    tf = require_tensorflow()
    names = [node.name for node in definition.node if node.op in equivalents]
    if not names:
        return False
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
    nodes = {node.name: node for node in definition.node}
    replaced = [_replace(definition, nodes[name], graph, equivalents[nodes[name].op]) for name in names]
    return any(replaced)


def _replace(definition: Any, node: Any, graph: Any, equivalent: Equivalent) -> bool:
    """Make a node of a GraphDef pass on what the equivalent computes."""
    tf = require_tensorflow()
    operation = graph.get_operation_by_name(node.name)
    sources = [name for name in node.input if not name.startswith("^")]
    names = [f"input_{number}" for number in range(len(sources))]
    with tf.Graph().as_default() as inner:
        inputs = [
            tf.compat.v1.placeholder(tensor.dtype, tensor.shape, name)
            for tensor, name in zip(operation.inputs, names, strict=True)
        ]
        result = equivalent(operation, *inputs)
        if result is None:
            return False
    renamed = dict(zip(names, sources, strict=True))
    for each in inner.as_graph_def().node:
        if each.name in renamed:
            continue
        added = definition.node.add()
        added.CopyFrom(each)
        added.name = f"{node.name}/{each.name}"
        added.input[:] = [renamed.get(name, f"{node.name}/{name}") for name in each.input]
    node.input.insert(0, f"{node.name}/{result.op.name}")
    as_identity(node, result.dtype.as_datatype_enum)
    return True
