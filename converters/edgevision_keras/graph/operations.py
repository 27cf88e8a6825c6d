"""Frozen graphs: dependence on the input, layers of operations, and functions that compute more."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow


def depends_on_input(tensor: Any, known: dict[str, bool]) -> bool:
    """Return whether a tensor of a frozen graph is computed from the graph's input.

    Args:
        tensor: a tensor of the graph.
        known: operation name -> result, from earlier calls on the same graph; is extended.
    """
    pending = [tensor.op]
    while pending:
        operation = pending[-1]
        inputs = [value.op for value in operation.inputs]
        missing = [source for source in inputs if source.name not in known]
        if operation.type == "Placeholder":
            known[operation.name] = True
        elif not missing:
            known[operation.name] = any(known[source.name] for source in inputs)
        else:
            pending.extend(missing)
            continue
        pending.pop()
    return known[tensor.op.name]


def layer_of(operation_name: str, layer_names: Collection[str], numbered: Collection[str] = ()) -> str:
    """The name of the layer of an operation; Keras 3 appends numbers to the scopes of some layers.

    Args:
        operation_name: its name in a frozen graph.
        layer_names: names of the source's layers; empty if unknown.
        numbered: the layers that `numbered_layers` returns for the graph.
    """
    parts = operation_name.split("/")
    for part in reversed(parts[:-1]):
        candidates = part, _unnumbered(part)
        for name in reversed(candidates) if part in numbered else candidates:
            if name in layer_names:
                return name
    return parts[-2] if len(parts) > 1 else parts[0]


def numbered_layers(graph: Any, layer_names: Collection[str]) -> frozenset[str]:
    """The layers whose scope has a number appended in a graph.

    Where ``norm_1_2`` is the scope of a layer ``norm_1``, the scope ``norm_1`` is that of a layer ``norm``.
    """
    scopes = {scope for operation in graph.get_operations() for scope in operation.name.split("/")[:-1]}
    return frozenset(_unnumbered(scope) for scope in scopes.difference(layer_names)).intersection(layer_names)


def _unnumbered(scope: str) -> str:
    return re.sub(r"_\d+$", "", scope)


def extended(trace: Trace, tensors: Sequence[Any], add: Callable[..., Any], *specs: Any) -> Any:
    """A function of a source's inputs that computes more from tensors inside its frozen graph.

    Args:
        trace: the graph of the source.
        tensors: tensors of its frozen graph.
        add: a function of a list of these tensors, then of the arguments in `specs`; returns tensors.
        specs: specs of further arguments.

    Returns:
        A differentiable function of the inputs, in the graph's order, then of those arguments.
    """
    tf = require_tensorflow()
    frozen = trace.frozen
    graph = frozen.graph.as_graph_def()
    count = len(frozen.inputs)

    def imported(*arguments: Any) -> Any:
        results = tf.graph_util.import_graph_def(
            graph,
            input_map={own.name: value for own, value in zip(frozen.inputs, arguments[:count], strict=True)},
            return_elements=[tensor.name for tensor in tensors],
            name="inside",
        )
        return add(results, *arguments[count:])

    inputs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in frozen.inputs]
    return tf.compat.v1.wrap_function(imported, [*inputs, *specs])
