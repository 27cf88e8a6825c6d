"""Inputs of integers in an int8 file: as exact as the pixels, without an operation that rounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgevision_keras.graph.nodes import as_identity
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folding import FoldedGraph, copied
from edgevision_keras.quantization.prepare import PreparedNetwork

_LEVELS = 255


def integer_ranges(prepared: PreparedNetwork, graph: FoldedGraph) -> dict[str, tuple[float, float]]:
    """The ranges of inputs that the source rounds to integers, with a step that is a whole number.

    With such a step, quantization itself rounds to integers. Up to 256 values are exact.

    Returns:
        Name of an input tensor of `graph` -> range.
    """
    ranges = {}
    for placeholder in _rounded_inputs(graph.imported()):
        least, most = _limits(placeholder)
        if most - least <= _LEVELS:  # one byte, the limits of the dtype
            ranges[placeholder.name] = (least, least + _LEVELS)
            continue
        low, high = prepared.range_of(placeholder.name)
        low, high = min(math.floor(low), 0), max(math.ceil(high), 0)
        step = max(1, math.ceil((high - low) / _LEVELS))
        low = -step * math.ceil(-low / step)
        ranges[placeholder.name] = (float(low), float(low + step * _LEVELS))
    return ranges


def without_rounding(graph: FoldedGraph, ranges: Mapping[str, tuple[float, float]]) -> FoldedGraph:
    """The graph without the rounding and clipping of its inputs, which their quantization does.

    Args:
        graph: the graph.
        ranges: of `integer_ranges`.
    """
    kind = require_tensorflow().float32.as_datatype_enum
    imported = graph.imported()
    definition = copied(graph.structure)
    nodes = {node.name: node for node in definition.node}
    for name, (low, high) in ranges.items():
        for operation in _without_effect(imported.get_tensor_by_name(name), low, high):
            as_identity(nodes[operation.name], kind)
    return replace(graph, structure=definition)


def without_any_rounding(graph: FoldedGraph) -> FoldedGraph:
    """The graph without rounding and clipping of its inputs, before their ranges are known."""
    limits = {tensor.name: _limits(tensor) for tensor in _rounded_inputs(graph.imported())}
    return without_rounding(graph, limits)


def _rounded_inputs(imported: Any) -> Iterator[Any]:
    """The inputs that every reader rounds."""
    for operation in imported.get_operations():
        if operation.type == "Placeholder":
            readers = operation.outputs[0].consumers()
            if readers and all(reader.type in ("Round", "Rint") for reader in readers):
                yield operation.outputs[0]


def _limits(placeholder: Any) -> tuple[float, float]:
    """The widest limits that an input is clipped to after its rounding."""
    least, most = [], []
    for rounding in placeholder.consumers():
        lower, upper = -math.inf, math.inf
        (tensor,) = rounding.outputs
        while len(tensor.consumers()) == 1:
            (operation,) = tensor.consumers()
            limit = _limit(operation, tensor)
            if limit is None:
                break
            lower, upper = (
                (max(lower, limit), upper) if operation.type == "Maximum" else (lower, min(upper, limit))
            )
            (tensor,) = operation.outputs
        least.append(lower)
        most.append(upper)
    return min(least), max(most)


def _limit(operation: Any, tensor: Any) -> float | None:
    """The number that `tensor` is clipped to by an operation."""
    if operation.type not in ("Maximum", "Minimum") or operation.inputs[0] is not tensor:
        return None
    limit = require_tensorflow().get_static_value(operation.inputs[1])
    return None if limit is None or np.ndim(limit) else float(limit)


def _without_effect(tensor: Any, low: float, high: float) -> Iterator[Any]:
    """The operations on integers from `low` to `high` that do not change them."""
    for operation in tensor.consumers():
        limit = _limit(operation, tensor)
        if operation.type in ("Round", "Rint", "Identity"):
            changes_nothing = True
        elif limit is None:
            changes_nothing = False
        else:
            changes_nothing = limit <= low if operation.type == "Maximum" else limit >= high
        if changes_nothing:
            yield operation
            yield from _without_effect(operation.outputs[0], low, high)
