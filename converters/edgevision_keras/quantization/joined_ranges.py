"""Tensors that join values of very different ranges, as detectors join boxes in pixels and scores in 0…1.

With one int8 scale for both, a step of the boxes is several times the largest score. Behind the last layer,
all that such a tensor is computed from and all that is computed from it stays in float. Between layers, where
a layer reads all values with one scale in any case, the channels are equalized instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from edgevision_keras.quantization.flow import Flow
from edgevision_keras.quantization.folded_network import Extremes
from edgevision_keras.quantization.folding import FoldedGraph
from edgevision_keras.quantization.tflite_file import constant_values
from edgevision_keras.quantization.tflite_flow import read_flow

#: Operators whose result has values of several tensors, or the sum of two.
_JOINING = frozenset(
    {
        *("ADD", "CONCATENATION", "DYNAMIC_UPDATE_SLICE", "MAXIMUM", "MINIMUM", "PACK"),
        *("SELECT", "SELECT_V2", "SUB"),
    }
)
_SCALING = frozenset({"DIV", "MUL"})
#: Ratio of the whole range to that of a part from which on the part would lose three bits of its eight.
_MOST = 8.0
#: The same for the channels of a last layer: those of an ordinary classifier can differ by ten times.
_MOST_OF_UNITS = 32.0


def joined_ranges(model: Any, layers: Collection[str]) -> list[str]:
    """The operators behind the last layers of a float file whose results need several scales, in order.

    Args:
        model: a `ModelT` with the ranges of its tensors.
        layers: the operations that are layers.

    Returns:
        Names of the operators that join, and of those before and after them.
    """
    flow = read_flow(model)
    between = flow.behind({step for step, each in enumerate(flow.steps) if each.operation in layers})
    last = set(range(len(flow.steps))) - between
    joining = {step for step in last if _joins(model, flow, step) or _scales(model, flow, step)}
    whole = flow.ahead(joining) | flow.behind(joining) & last
    return [flow.steps[step].name for step in sorted(whole)]


def _joins(model: Any, flow: Flow, step: int) -> bool:
    """True if the range of what an operator computes is too wide for one of the tensors that it joins."""
    if flow.steps[step].operation not in _JOINING:
        return False
    tensors = model.subgraphs[0].tensors
    whole = max((_width(tensors[index]) for index in flow.results(step)), default=0.0)
    return any(whole > _MOST * _width(tensors[index]) > 0 for index in flow.activations(step))


def _scales(model: Any, flow: Flow, step: int) -> bool:
    """True if an operator multiplies parts of a tensor by very different constants."""
    operator = flow.steps[step]
    if operator.operation not in _SCALING:
        return False
    for index in operator.inputs:
        values = constant_values(model, index)
        factors = np.zeros(0) if values is None else np.abs(values[values != 0])
        if factors.size and factors.max() > _MOST * factors.min():
            return True
    return False


def _width(tensor: Any) -> float:
    """The width of a tensor's range with zero, as int8 has it; 0 if it is unknown."""
    quantization = tensor.quantization
    if quantization is None or quantization.min is None or not len(quantization.min):
        return 0.0
    return max(float(quantization.max[0]), 0.0) - min(float(quantization.min[0]), 0.0)


def layers_of_units(folded: FoldedGraph, extremes: Mapping[str, Extremes]) -> tuple[str, ...]:
    """The names of the last layers whose channels have very different ranges: numbers of different units.

    Args:
        folded: the network.
        extremes: name of a tensor -> the extremes of its channels.
    """
    graph = folded.imported()
    inputs = {layer.input for layer in folded.layers}
    found = []
    for layer in folded.layers:
        low, high = extremes[layer.output].low, extremes[layer.output].high
        widths = np.maximum(high, 0) - np.minimum(low, 0)
        widths = widths[widths > 0]
        if (
            widths.size
            and widths.max() > _MOST_OF_UNITS * widths.min()
            and not _reaches(graph, layer.output, inputs)
        ):
            found.append(layer.name)
    return tuple(found)


def _reaches(graph: Any, name: str, others: Collection[str]) -> bool:
    """Return whether one of some tensors is computed from a tensor, or is that tensor itself."""
    pending, seen = [graph.get_tensor_by_name(name)], {name}
    while pending:
        tensor = pending.pop()
        if tensor.name in others:
            return True
        following = [
            each for reader in tensor.consumers() for each in reader.outputs if each.name not in seen
        ]
        seen |= {each.name for each in following}
        pending += following
    return False
