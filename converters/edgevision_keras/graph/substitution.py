"""Operations of a frozen graph replaced by others that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    operation = graph.get_operation_by_name(node.name)
    sources = [name for name in node.input if not name.startswith("^")]
    given = [(name, each.dtype, each.shape) for name, each in zip(sources, operation.inputs, strict=True)]
    results = add_computation(definition, node.name, given, lambda *inputs: [equivalent(operation, *inputs)])
    if results is None:
        return False
    ((name, kind),) = results
    pass_on(node, name, kind)
    return True


def add_computation(
    definition: Any,
    prefix: str,
    given: Sequence[tuple[str, Any, Any]],
    compute: Callable[..., Sequence[Any | None]],
) -> list[tuple[str, Any]] | None:
    """Add to a GraphDef what a function computes from some of its tensors.

    Args:
        definition: is changed.
        prefix: of the names of the new nodes.
        given: (name, dtype, shape) of each tensor.
        compute: from symbolic tensors to tensors; a `None` among these means that it cannot.

    Returns:
        (name, dtype) of each result; `None` if it cannot be computed.
    """
    tf = require_tensorflow()
    renamed = {f"input_{number}": name for number, (name, _, _) in enumerate(given)}
    with tf.Graph().as_default() as inner:
        placeholders = [
            tf.compat.v1.placeholder(kind, shape, name)
            for name, (_, kind, shape) in zip(renamed, given, strict=True)
        ]
        # A result is an operation of its own, also where it is one of the inputs.
        results = [None if each is None else tf.identity(each) for each in compute(*placeholders)]
    if any(each is None for each in results):
        return None
    for each in inner.as_graph_def().node:
        if each.name in renamed:
            continue
        added = definition.node.add()
        added.CopyFrom(each)
        added.name = f"{prefix}/{each.name}"
        added.input[:] = [renamed.get(name, f"{prefix}/{name}") for name in each.input]
    return [(f"{prefix}/{each.op.name}", each.dtype) for each in results if each is not None]


def pass_on(node: Any, name: str, kind: Any) -> None:
    """Make a node of a GraphDef pass on the tensor of a name and a dtype."""
    node.input.insert(0, name)
    as_identity(node, kind.as_datatype_enum)
