"""Whole normalizations in a graph: from the mean to the last factor and offset."""

from __future__ import annotations

from collections.abc import Collection

from edgevision_keras.quantization.flow import Flow

_REDUCTIONS = frozenset({"MEAN", "SUM"})
_ROOTS = frozenset({"RSQRT", "SQRT", "POW"})
_ELEMENTWISE = frozenset(
    {
        "ADD",
        "BROADCAST_TO",
        "DIV",
        "EXPAND_DIMS",
        "MAXIMUM",
        "MUL",
        "NEG",
        "POW",
        "RESHAPE",
        "RSQRT",
        "SQRT",
        "SQUARE",
        "SQUEEZE",
        "SUB",
        "TRANSPOSE",
    }
)


def normalizations(flow: Flow) -> set[int]:
    """The operators of whole normalizations: from the mean to the last factor and offset.

    In int8, the variance of small values is lost, and the difference of two large products too.
    """
    members: set[int] = set()
    for step, operator in enumerate(flow.steps):
        if operator.operation in _ROOTS:
            statistics = _statistics(flow, step)
            if any(flow.steps[number].operation in _REDUCTIONS for number in statistics):
                members |= _applied(flow, statistics)
    return members


def _statistics(flow: Flow, root: int) -> set[int]:
    """A root and what it is computed from, back to the reductions over the normalized tensor."""
    found, pending = {root}, [root]
    while pending:
        step = pending.pop()
        if flow.steps[step].operation in _REDUCTIONS:
            found.update(_deviations(flow, step))
            continue
        before = _computed_by(flow, step, _ELEMENTWISE | _REDUCTIONS) - found
        found |= before
        pending += before
    return found


def _deviations(flow: Flow, reduction: int) -> set[int]:
    """The tensor that a reduction sums up, if it is a square or the distance from a mean, with this mean."""
    found: set[int] = set()
    for square in _computed_by(flow, reduction, {"SQUARED_DIFFERENCE", "SQUARE", "MUL"}):
        if flow.steps[square].operation == "MUL" and len(flow.activations(square)) != 1:
            continue
        found |= {square, *_computed_by(flow, square, _REDUCTIONS)}
        for difference in _computed_by(flow, square, {"SUB"}):
            means = _computed_by(flow, difference, _REDUCTIONS)
            found |= {difference, *means} if means else set()
    return found


def _computed_by(flow: Flow, step: int, operations: Collection[str]) -> set[int]:
    """The operators of some kinds that compute what an operator reads."""
    return {number for number in flow.before(step) if flow.steps[number].operation in operations}


def _applied(flow: Flow, statistics: set[int]) -> set[int]:
    """The statistics with the operators that apply them to the normalized tensor."""
    members = set(statistics)
    produced = {tensor for step in members for tensor in flow.results(step)}
    normalized = {tensor for step in members for tensor in flow.activations(step)} - produced
    pending = list(members)
    while pending:
        for reader in flow.after(pending.pop()):
            known = produced | normalized
            if reader in members or flow.steps[reader].operation not in _ELEMENTWISE:
                continue
            if all(tensor in known for tensor in flow.activations(reader)):
                members.add(reader)
                produced.update(flow.results(reader))
                # What waits for a second operand becomes complete by this one.
                pending += [reader, *members]
    return members
