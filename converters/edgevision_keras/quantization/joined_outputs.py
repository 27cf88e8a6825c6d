"""Outputs that join tensors of very different ranges, as detectors join boxes in pixels and scores in 0…1.

With one int8 scale for both, a step of the boxes is several times the largest score.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgevision_keras.quantization.flow import Flow
from edgevision_keras.quantization.tflite_flow import read_flow

_MOVING = frozenset(
    {
        *("CONCATENATION", "EXPAND_DIMS", "PACK", "PAD", "RESHAPE"),
        *("SLICE", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE"),
    }
)
#: Ratio of the whole range to that of a part from which on the part would lose three bits of its eight.
_MOST = 8.0


def joined_outputs(model: Any) -> dict[str, tuple[str, ...]]:
    """The outputs of a float file whose parts need scales of their own.

    Args:
        model: a `ModelT` with the ranges of its tensors.

    Returns:
        Name of the output's tensor -> names of the operators that move and join the parts.
    """
    flow = read_flow(model)
    graph = model.subgraphs[0]
    found = {}
    for output in (int(index) for index in graph.outputs):
        if output not in flow.producer:
            continue
        moving = set(_moving(flow, flow.producer[output]))
        if not any(flow.steps[step].operation == "CONCATENATION" for step in moving):
            continue
        parts = {tensor for step in moving for tensor in flow.activations(step)}
        parts -= {tensor for step in moving for tensor in flow.results(step)}
        ranges = [_range(graph.tensors[tensor]) for tensor in parts]
        known = [each for each in ranges if each is not None]
        whole = max((high for _, high in known), default=0.0) - min((low for low, _ in known), default=0.0)
        if any(whole > _MOST * (high - low) > 0 for low, high in known):
            name = graph.tensors[output].name.decode()
            found[name] = tuple(flow.steps[step].name for step in sorted(moving))
    return found


def _moving(flow: Flow, step: int) -> Iterator[int]:
    """The operators back from one that only move values, if it is one of them itself."""
    pending, seen = [step], {step}
    while pending:
        step = pending.pop()
        if flow.steps[step].operation not in _MOVING:
            continue
        yield step
        before = {
            flow.producer[tensor] for tensor in flow.activations(step) if tensor in flow.producer
        } - seen
        seen |= before
        pending += before


def _range(tensor: Any) -> tuple[float, float] | None:
    """The range of a tensor with zero, as int8 has it."""
    quantization = tensor.quantization
    if quantization is None or quantization.min is None or not len(quantization.min):
        return None
    return min(float(quantization.min[0]), 0.0), max(float(quantization.max[0]), 0.0)
