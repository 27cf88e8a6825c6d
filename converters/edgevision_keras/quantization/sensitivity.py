"""What int8 costs in each layer alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folded_network import Batch
from edgevision_keras.quantization.folding import Folded, Layer, add_constant
from edgevision_keras.quantization.prepare import Int8Source
from edgevision_keras.quantization.rounding import nearest

#: (lowest, highest)
Ends = tuple[float, float]

#: Images that each layer is measured on.
_IMAGES = 16


def layer_errors(made_from: Int8Source) -> list[tuple[str, float]]:
    """Layers and the error of the answers when one alone is int8, from the greatest to the least.

    A layer's weights, its input and its output are rounded, all else is float. The error is the
    root mean square over outputs and images, as a part of the answers' standard deviation. It is a
    property of the network, and so the same for every format.
    """
    tf = require_tensorflow()
    graph, switches = _switched(tf, made_from)
    folded = made_from.folded

    def imported(*fed: Any) -> list[Any]:
        images, on = fed[: len(folded.inputs)], fed[len(folded.inputs) :]
        return list(
            tf.graph_util.import_graph_def(
                graph,
                input_map=dict(
                    zip([*folded.inputs, *(f"{name}:0" for name in switches)], [*images, *on], strict=True)
                ),
                return_elements=list(folded.outputs),
                name="layers",
            )
        )

    source = folded.imported()
    specs = [tf.TensorSpec(source.get_tensor_by_name(name).shape, tf.float32) for name in folded.inputs]
    function = tf.compat.v1.wrap_function(imported, [*specs, *[tf.TensorSpec((), tf.bool)] * len(switches)])
    batches = list(_first(made_from.images))
    exact = _answers(tf, function, folded, batches, [False] * len(switches))
    errors = []
    for place, layer in enumerate(folded.layers):
        on = [other == place for other in range(len(switches))]
        errors.append((layer.name, _error(exact, _answers(tf, function, folded, batches, on))))
    return sorted(errors, key=lambda item: -item[1])


def _first(batches: Sequence[Batch]) -> Iterator[Batch]:
    left = _IMAGES
    for batch in batches:
        part: Mapping[str, Array] = {name: values[:left] for name, values in batch.items()}
        left -= len(next(iter(part.values())))
        yield part
        if not left:
            return


def _answers(
    tf: Any, function: Any, folded: Folded, batches: Sequence[Batch], on: Sequence[bool]
) -> list[Array]:
    names = [name.removesuffix(":0") for name in folded.inputs]
    switches = [tf.constant(one) for one in on]
    runs = [function(*(tf.constant(batch[name]) for name in names), *switches) for batch in batches]
    return [np.concatenate([run[place].numpy() for run in runs]) for place in range(len(folded.outputs))]


def _error(exact: Sequence[Array], got: Sequence[Array]) -> float:
    parts = [
        np.mean((one - other) ** 2) / max(float(np.var(one)), 1e-12)
        for one, other in zip(exact, got, strict=True)
    ]
    return float(np.mean(parts) ** 0.5)


def _switched(tf: Any, made_from: Int8Source) -> tuple[Any, list[str]]:
    """The folded graph with each layer in float or in int8, as a switch of its own tells."""
    graph = type(made_from.folded.graph)()
    graph.CopyFrom(made_from.folded.graph)
    switches = []
    for number, layer in enumerate(made_from.folded.layers):
        switch = graph.node.add(op="Placeholder", name=f"switch_{number}")
        switch.attr["dtype"].type = tf.bool.as_datatype_enum
        switch.attr["shape"].shape.SetInParent()
        switches.append(switch.name)
        rounded = made_from.rounded.get(layer.name) or nearest(layer)
        _switch_layer(tf, graph, switch.name, rounded, *map(made_from.range_of, (layer.input, layer.output)))
    return graph, switches


def _switch_layer(tf: Any, graph: Any, switch: str, rounded: Layer, given: Ends, made: Ends) -> None:
    nodes = {node.name: node for node in graph.node}
    last, node = nodes[rounded.output.removesuffix(":0")], nodes[rounded.node]
    constants = [(node, rounded.weight), (last, rounded.bias)]
    for owner, values in constants:
        name = f"{switch}/{owner.name}"
        constant = add_constant(graph, f"{name}/rounded", values)
        owner.input[1] = _select(tf, graph, name, switch, constant, owner.input[1])
    name = f"{switch}/input"
    node.input[0] = _select(tf, graph, name, switch, _fake(graph, name, node.input[0], given), node.input[0])
    name, last.name = last.name, f"{switch}/exact"
    _select(tf, graph, name, switch, _fake(graph, f"{switch}/output", last.name, made), last.name)


def _fake(graph: Any, name: str, values: str, ends: Ends) -> str:
    """Add what rounds `values` to the levels that int8 has in a range."""
    node = graph.node.add(op="FakeQuantWithMinMaxArgs", name=f"{name}/rounded", input=[values])
    node.attr["min"].f, node.attr["max"].f = ends[0], max(ends[1], ends[0] + 1e-6)
    return str(node.name)


def _select(tf: Any, graph: Any, name: str, switch: str, when: str, otherwise: str) -> str:
    node = graph.node.add(op="SelectV2", name=name, input=[switch, when, otherwise])
    node.attr["T"].type = tf.float32.as_datatype_enum
    return str(node.name)
