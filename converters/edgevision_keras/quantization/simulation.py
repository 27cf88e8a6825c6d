"""A network with int8 activations, computed in float: what a choice of ranges costs, without converting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folding import FoldedGraph, copied, imported
from edgevision_keras.quantization.images import Batch
from edgevision_keras.quantization.ranges import Range
from edgevision_keras.quantization.sessions import GraphSession

_LOWS, _HIGHS = "simulated/lows", "simulated/highs"
#: Rectifiers, which all runtimes compute in the layer before: between the two nothing is rounded.
_FUSED = frozenset({"Relu", "Relu6"})


class SimulatedNetwork:
    """A graph that rounds each of its activations to the 256 levels of a range.

    Args:
        graph: the graph, with its weights on the int8 grid.
        activations: names of the tensors that are rounded.
        logits: names of the tensors whose error is measured.
    """

    def __init__(self, graph: FoldedGraph, activations: Sequence[str], logits: Sequence[str]) -> None:
        self._graph = graph
        self._activations = list(activations)
        self._logits = list(logits)

    def error(
        self, ranges: Mapping[str, Range], batches: Sequence[Batch], exact: Sequence[Mapping[str, Array]]
    ) -> float:
        """Mean squared error of the logits, relative to their variance; averaged over several tensors.

        Args:
            ranges: name of an activation -> its range.
            batches: images.
            exact: name -> values of the logits in float, for each batch.
        """
        ends = np.array([ranges[name] for name in self._activations], np.float32).reshape(-1, 2)
        ends[:, 1] = np.maximum(ends[:, 1], ends[:, 0] + 1e-6)
        names = [name.removesuffix(":0") for name in self._graph.inputs]
        squares = np.zeros(len(self._logits))
        values: list[list[Array]] = [[] for _ in self._logits]
        for batch, expected in zip(batches, exact, strict=True):
            images = [batch[name] for name in names]
            results = self._function(*images, ends[:, 0], ends[:, 1], *self._graph.weights.values())
            for index, (name, result) in enumerate(zip(self._logits, results, strict=True)):
                wanted = expected[name].astype(np.float64)
                squares[index] += float(np.sum((result - wanted) ** 2))
                values[index].append(wanted.ravel())
        return float(np.mean([_relative(total, known) for total, known in zip(squares, values, strict=True)]))

    @cached_property
    def _function(self) -> Callable[..., list[Array]]:
        definition, names = _with_rounding(self._graph, self._activations)
        graph = imported(definition)
        fed = [*self._graph.inputs, f"{_LOWS}:0", f"{_HIGHS}:0", *self._graph.weights]
        fetched = [names.get(name, name) for name in self._logits]
        return GraphSession(graph).function(
            [graph.get_tensor_by_name(name) for name in fetched],
            [graph.get_tensor_by_name(name) for name in fed],
        )


def _relative(squares: float, values: Sequence[Array]) -> float:
    flat = np.concatenate(values)
    return squares / flat.size / max(float(flat.var()), 1e-12)


def _with_rounding(graph: FoldedGraph, activations: Sequence[str]) -> tuple[Any, dict[str, str]]:
    """A GraphDef that rounds the tensors in `activations`, and name of a tensor -> name when rounded.

    The ends of the ranges are two vectors that it reads, so that one graph serves all ranges.
    """
    tf = require_tensorflow()
    before = graph.imported()
    definition = copied(graph.structure)
    kind = tf.float32.as_datatype_enum
    readers = list(definition.node)
    for name in (_LOWS, _HIGHS):
        node = definition.node.add(op="Placeholder", name=name)
        node.attr["dtype"].type = kind
        node.attr["shape"].shape.dim.add(size=len(activations))
        parts = definition.node.add(op="Unpack", name=f"{name}/each", input=[name])
        parts.attr["T"].type = kind
        parts.attr["num"].i = len(activations)
    rounded = {}
    for index, tensor in enumerate(activations):
        consumers = before.get_tensor_by_name(tensor).consumers()
        if consumers and all(operation.type in _FUSED for operation in consumers):
            continue
        source = tensor.removesuffix(":0")
        name = f"simulated/int8_{index}"
        ends = [f"{end}/each:{index}" for end in (_LOWS, _HIGHS)]
        node = definition.node.add(op="FakeQuantWithMinMaxVars", name=name, input=[source, *ends])
        node.attr["num_bits"].i = 8
        rounded[source] = name
    for node in readers:
        inputs = [rounded.get(name.removesuffix(":0"), name) for name in node.input]
        node.ClearField("input")
        node.input.extend(inputs)
    return definition, {f"{source}:0": f"{name}:0" for source, name in rounded.items()}
