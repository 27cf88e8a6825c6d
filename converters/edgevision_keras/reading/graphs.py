"""Reading a frozen graph: which tensors depend on its input, whose layer made them, and adding to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.reading.trace import Trace


def depends_on_input(tensor: Any, known: dict[str, bool]) -> bool:
    """Whether a tensor of a frozen graph is computed from its input.

    Args:
        tensor: of the graph.
        known: operation name -> answer, of earlier calls on the same graph; is added to.
    """
    pending = [tensor.op]
    while pending:
        operation = pending[-1]
        inputs = [value.op for value in operation.inputs]
        missing = [one for one in inputs if one.name not in known]
        if operation.type == "Placeholder":
            known[operation.name] = True
        elif not missing:
            known[operation.name] = any(known[one.name] for one in inputs)
        else:
            pending.extend(missing)
            continue
        pending.pop()
    return known[tensor.op.name]


def layer_of(operation_name: str, layer_names: Collection[str], numbered: Collection[str] = ()) -> str:
    """The layer of an operation: Keras 3 numbers the scopes that it makes for its layers' names.

    Args:
        operation_name: in a frozen graph.
        layer_names: names of the source's layers, where they are known.
        numbered: what `numbered_layers` gives for the graph.
    """
    parts = operation_name.split("/")
    for part in reversed(parts[:-1]):
        both = part, _unnumbered(part)
        for name in reversed(both) if part in numbered else both:
            if name in layer_names:
                return name
    return parts[-2] if len(parts) > 1 else parts[0]


def numbered_layers(graph: Any, layer_names: Collection[str]) -> frozenset[str]:
    """Layers that have a numbered scope in a graph.

    Where ``norm_1_2`` is the scope of a layer ``norm_1``, the scope ``norm_1`` is that of a layer ``norm``.
    """
    scopes = {scope for one in graph.get_operations() for scope in one.name.split("/")[:-1]}
    return frozenset(_unnumbered(scope) for scope in scopes.difference(layer_names)).intersection(layer_names)


def _unnumbered(scope: str) -> str:
    return re.sub(r"_\d+$", "", scope)


def extended(trace: Trace, tensors: Sequence[Any], add: Callable[..., Any], *specs: Any) -> Any:
    """A function of a source's inputs that computes more from tensors inside its frozen graph.

    Args:
        trace: of the source.
        tensors: of its frozen graph.
        add: takes a list of the tensors, then what `specs` describe; gives tensors.
        specs: of further arguments.

    Returns:
        A differentiable function of the inputs, in the graph's order, then of those arguments.
    """
    tf = require_tensorflow()
    frozen = trace.frozen
    graph = frozen.graph.as_graph_def()
    count = len(frozen.inputs)

    def imported(*given: Any) -> Any:
        found = tf.graph_util.import_graph_def(
            graph,
            input_map={own.name: value for own, value in zip(frozen.inputs, given[:count], strict=True)},
            return_elements=[tensor.name for tensor in tensors],
            name="inside",
        )
        return add(found, *given[count:])

    inputs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in frozen.inputs]
    return tf.compat.v1.wrap_function(imported, [*inputs, *specs])
