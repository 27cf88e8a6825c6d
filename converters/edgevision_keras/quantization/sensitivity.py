"""Error of the outputs when one layer alone is int8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.nodes import add_constant
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folding import FoldedGraph, Layer
from edgevision_keras.quantization.images import Batch
from edgevision_keras.quantization.prepare import PreparedNetwork
from edgevision_keras.quantization.rounding import round_to_nearest

#: (lowest, highest)
Range = tuple[float, float]

#: Images that each layer is measured on.
_IMAGES = 16


def layer_errors(prepared: PreparedNetwork) -> list[tuple[str, float]]:
    """(name of a layer, error of the outputs when it alone is int8), largest error first.

    The layer's weights, input and output are quantized, everything else is float. The error is the
    root mean square over outputs and images, relative to the outputs' standard deviation. It is a
    property of the network, and so the same for every format.
    """
    tf = require_tensorflow()
    definition, switches = _with_switches(tf, prepared)
    folded = prepared.folded

    def imported(*arguments: Any) -> list[Any]:
        images, on = arguments[: len(folded.inputs)], arguments[len(folded.inputs) :]
        return list(
            tf.graph_util.import_graph_def(
                definition,
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
    batches = list(_first_images(prepared.images))
    exact = _outputs(tf, function, folded, batches, [False] * len(switches))
    errors = []
    for index, layer in enumerate(folded.layers):
        on = [other == index for other in range(len(switches))]
        errors.append((layer.name, _error(exact, _outputs(tf, function, folded, batches, on))))
    return sorted(errors, key=lambda item: -item[1])


def _first_images(batches: Sequence[Batch]) -> Iterator[Batch]:
    remaining = _IMAGES
    for batch in batches:
        part: Mapping[str, Array] = {name: values[:remaining] for name, values in batch.items()}
        remaining -= len(next(iter(part.values())))
        yield part
        if not remaining:
            return


def _outputs(
    tf: Any, function: Any, folded: FoldedGraph, batches: Sequence[Batch], on: Sequence[bool]
) -> list[Array]:
    names = [name.removesuffix(":0") for name in folded.inputs]
    switches = [tf.constant(state) for state in on]
    runs = [function(*(tf.constant(batch[name]) for name in names), *switches) for batch in batches]
    return [np.concatenate([run[index].numpy() for run in runs]) for index in range(len(folded.outputs))]


def _error(expected: Sequence[Array], outputs: Sequence[Array]) -> float:
    squares = [
        np.mean((exact - output) ** 2) / max(float(np.var(exact)), 1e-12)
        for exact, output in zip(expected, outputs, strict=True)
    ]
    return float(np.mean(squares) ** 0.5)


def _with_switches(tf: Any, prepared: PreparedNetwork) -> tuple[Any, list[str]]:
    """The folded graph with one boolean input per layer that turns int8 on; and their names."""
    graph = prepared.folded.definition
    switches = []
    for number, layer in enumerate(prepared.folded.layers):
        switch = graph.node.add(op="Placeholder", name=f"switch_{number}")
        switch.attr["dtype"].type = tf.bool.as_datatype_enum
        switch.attr["shape"].shape.SetInParent()
        switches.append(switch.name)
        rounded = prepared.rounded.get(layer.name) or round_to_nearest(layer)
        ranges = prepared.range_of(layer.input), prepared.range_of(layer.output)
        _add_switch(tf, graph, switch.name, rounded, *ranges)
    return graph, switches


def _add_switch(
    tf: Any, graph: Any, switch: str, rounded: Layer, input_range: Range, output_range: Range
) -> None:
    """Make a layer compute in int8 where `switch` is on."""
    nodes = {node.name: node for node in graph.node}
    last, node = nodes[rounded.output.removesuffix(":0")], nodes[rounded.node]
    constants = [(node, rounded.weight), (last, rounded.bias)]
    for owner, values in constants:
        name = f"{switch}/{owner.name}"
        constant = add_constant(graph, f"{name}/rounded", values)
        owner.input[1] = _select(tf, graph, name, switch, constant, owner.input[1])
    name = f"{switch}/input"
    exact = node.input[0]
    node.input[0] = _select(tf, graph, name, switch, _quantized(graph, name, exact, input_range), exact)
    name, last.name = last.name, f"{switch}/exact"
    quantized = _quantized(graph, f"{switch}/output", last.name, output_range)
    _select(tf, graph, name, switch, quantized, last.name)


def _quantized(graph: Any, name: str, values: str, range_: Range) -> str:
    """Add an operation that rounds `values` to the int8 levels of a range, and return its name."""
    node = graph.node.add(op="FakeQuantWithMinMaxArgs", name=f"{name}/rounded", input=[values])
    low, high = range_
    node.attr["min"].f, node.attr["max"].f = low, max(high, low + 1e-6)
    return str(node.name)


def _select(tf: Any, graph: Any, name: str, switch: str, on: str, off: str) -> str:
    """Add a choice between two tensors, and return its name."""
    node = graph.node.add(op="SelectV2", name=name, input=[switch, on, off])
    node.attr["T"].type = tf.float32.as_datatype_enum
    return str(node.name)
