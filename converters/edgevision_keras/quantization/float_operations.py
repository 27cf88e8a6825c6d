"""The operations of an int8 TFLite file that stay in float: for want of a kernel, for speed, for accuracy.

Each operation that multiplies with constant weights is int8. For the others, the times of both forms and of
the conversions between them are added up, and the cheapest assignment is a minimum cut.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from edgevision_keras.quantization.minimum_cut import UNLIMITED, CutGraph
from edgevision_keras.quantization.tflite_file import NOT_COMPUTED, Operator
from edgevision_keras.quantization.tflite_flow import Flow, read_flow

NO_KERNEL = "no int8 kernel"
INEXACT = "inexact in int8"
SLOWER = "slower in int8"
NORMALIZATION = "part of a normalization"
BETWEEN = "between float operations"
INNER = "a part of one operation of the network"
JOINED = "joins tensors of different ranges in one output"
REQUESTED = "loses accuracy in int8"

#: The operations that the int8 graph is there for: their weights are a quarter of the size.
WITH_WEIGHTS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
#: Time of an int8 operation over that of the float one, LiteRT 2.3 on one x86-64 core. Where it is large, the
#: int8 kernel is the reference implementation, also on ARM.
_INT8_OVER_FLOAT: Mapping[str, float] = {
    "RSQRT": 98.0,
    "DIV": 50.0,
    "RELU": 38.0,
    "RELU6": 38.0,
    "RELU_N1_TO_1": 38.0,
    "RELU_0_TO_1": 38.0,
    "ABS": 34.0,
    "SQRT": 16.0,
    "BATCH_MATMUL": 13.0,
    "SQUARED_DIFFERENCE": 11.0,
    "PRELU": 9.0,
    "L2_NORMALIZATION": 6.0,
    "HARD_SWISH": 6.0,
    "PADV2": 3.0,
    "SELECT": 2.8,
    "SELECT_V2": 2.8,
    "SOFTMAX": 2.7,
    "AVERAGE_POOL_2D": 1.8,
    "EXP": 1.5,
    "LOG": 1.2,
    "BROADCAST_TO": 1.0,
    "CONCATENATION": 0.6,
    "GATHER": 1.0,
    "LOG_SOFTMAX": 1.0,
    "MIRROR_PAD": 1.0,
    "PAD": 1.0,
    "RESIZE_BILINEAR": 1.0,
    "RESIZE_NEAREST_NEIGHBOR": 1.0,
    "SLICE": 1.0,
    "STRIDED_SLICE": 1.0,
}
#: The operations with an int8 kernel that takes no more than the float one; the slow ones are above.
_FAST_IN_INT8 = frozenset(
    {
        "ADD",
        "ARG_MAX",
        "ARG_MIN",
        "BATCH_TO_SPACE_ND",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DEPTH_TO_SPACE",
        "DYNAMIC_UPDATE_SLICE",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "GATHER_ND",
        "GELU",
        "LEAKY_RELU",
        "LOGISTIC",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MUL",
        "PACK",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RESHAPE",
        "REVERSE_V2",
        "SCATTER_ND",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "SQUEEZE",
        "SUB",
        "SUM",
        "TANH",
        "TILE",
        "TOPK_V2",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
        "UNPACK",
    }
)
_FAST_RATIO = 0.6
#: The int8 kernels of these requantize both sides to a common step: a comparison with zero, whose scale is
#: next to nothing, is answered at random.
_COMPARISONS = frozenset({"EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"})
#: Times in float of one element, where a copy with one addition takes 1.
_EXPENSIVE: Mapping[str, float] = {"SOFTMAX": 4.0, "GELU": 2.0, "LOGISTIC": 2.0, "TANH": 2.0, "EXP": 2.0}
_FREE = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
#: Times of a conversion between int8 and float: of each element, and of the operation, in elements.
_CONVERSION, _OVERHEAD = 0.6, 300.0

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


def is_float(operator: Operator, floats: Collection[int]) -> bool:
    """Return whether an operator of an int8 file computes in float.

    Args:
        operator: the operator.
        floats: the float tensors of its graph.
    """
    tensors = (*operator.inputs, *operator.outputs)
    return operator.operation not in NOT_COMPUTED and any(index in floats for index in tensors)


def choose_float(
    model: Any, fixed: Mapping[str, str], *, int8_inputs: bool, int8_outputs: bool
) -> dict[str, str]:
    """The operators of a float file that stay in float when it is quantized.

    Args:
        model: the file as a `ModelT`, with one example per batch.
        fixed: name of an operator that stays float in any case -> the reason.
        int8_inputs, int8_outputs: these are int8, not float.

    Returns:
        Name of an operator -> the reason.
    """
    flow = read_flow(model)
    interface = model.subgraphs[0].inputs, model.subgraphs[0].outputs
    inputs, outputs = ({int(index) for index in side} for side in interface)
    reasons = dict.fromkeys(_normalizations(flow), NORMALIZATION)
    bound = set()
    for step, operator in enumerate(flow.steps):
        is_score = operator.operation in ("SOFTMAX", "LOGISTIC") and int8_outputs
        if operator.name in fixed:
            reasons[step] = fixed[operator.name]
        elif operator.operation in _COMPARISONS:
            reasons[step] = INEXACT
        elif _ratio(operator.operation) is None:
            reasons[step] = NO_KERNEL
        elif operator.operation == "BATCH_MATMUL":
            reasons[step] = SLOWER
        elif operator.operation in WITH_WEIGHTS or (is_score and operator.outputs[0] in outputs):
            bound.add(step)
    ends = dict.fromkeys(inputs, 0 if int8_inputs else 1), dict.fromkeys(outputs, 0 if int8_outputs else 1)
    in_int8 = _cheapest(flow, reasons, bound - set(reasons), *ends)
    return {
        operator.name: reasons.get(step) or usual_reason(operator.operation)
        for step, operator in enumerate(flow.steps)
        if step not in in_int8 and flow.size(step)
    }


def usual_reason(operation: str) -> str:
    """The reason why an operation is in float where nothing but its kind speaks for it."""
    if operation in _COMPARISONS:
        return INEXACT
    ratio = _ratio(operation)
    if ratio is None:
        return NO_KERNEL
    return SLOWER if ratio > 1 else BETWEEN


def has_int8_kernel(operation: str) -> bool:
    """Return whether the converter quantizes an operation."""
    return _ratio(operation) is not None


def _ratio(operation: str) -> float | None:
    """Time in int8 over time in float; `None` without an int8 kernel."""
    if operation in _FAST_IN_INT8 or operation in _COMPARISONS:
        return _FAST_RATIO
    return _INT8_OVER_FLOAT.get(operation)


def _cheapest(
    flow: Flow,
    fixed: Collection[int],
    bound: Collection[int],
    inputs: Mapping[int, int],
    outputs: Mapping[int, int],
) -> set[int]:
    """The operators that are int8 in the assignment that takes the least time.

    The source's side of the cut is int8, the sink's float. A tensor is converted once, however many read it.

    Args:
        flow: the operators.
        fixed: those that are float.
        bound: those that are int8.
        inputs, outputs: tensor of the interface -> 0 for int8, 1 for float: the ends of the cut.
    """
    graph = CutGraph()
    nodes = [graph.add_node() for _ in flow.steps]
    for step, node in enumerate(nodes):
        operator = flow.steps[step]
        float_time = _float_time(operator, flow.size(step))
        graph.add_edge(0, node, UNLIMITED if step in bound else float_time)
        int8_time = round(float_time * (_ratio(operator.operation) or 1))
        graph.add_edge(node, 1, UNLIMITED if step in fixed else int8_time)
    for tensor, size in flow.sizes.items():
        if tensor in flow.producer:
            first = nodes[flow.producer[tensor]]
        elif tensor in inputs:
            first = inputs[tensor]
        else:
            continue
        ends = [nodes[reader] for reader in flow.readers.get(tensor, ())]
        ends += [outputs[tensor]] if tensor in outputs else []
        conversion = round(_CONVERSION * size + _OVERHEAD)
        to_float, to_int8 = graph.add_node(), graph.add_node()
        graph.add_edge(first, to_float, conversion)
        graph.add_edge(to_int8, first, conversion)
        for end in ends:
            graph.add_edge(to_float, end, UNLIMITED)
            graph.add_edge(end, to_int8, UNLIMITED)
    side = graph.source_side()
    return {step for step, node in enumerate(nodes) if node in side}


def _float_time(operator: Operator, size: int) -> int:
    if operator.operation in _FREE:
        return 1
    return round(_EXPENSIVE.get(operator.operation, 1.0) * size + _OVERHEAD)


def _normalizations(flow: Flow) -> set[int]:
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
    before = {flow.producer[tensor] for tensor in flow.activations(step) if tensor in flow.producer}
    return {number for number in before if flow.steps[number].operation in operations}


def _applied(flow: Flow, statistics: set[int]) -> set[int]:
    """The statistics with the operators that apply them to the normalized tensor."""
    members = set(statistics)
    produced = {tensor for step in members for tensor in flow.results(step)}
    normalized = {tensor for step in members for tensor in flow.activations(step)} - produced
    pending = list(members)
    while pending:
        for reader in _readers(flow, pending.pop()):
            known = produced | normalized
            if reader in members or flow.steps[reader].operation not in _ELEMENTWISE:
                continue
            if all(tensor in known for tensor in flow.activations(reader)):
                members.add(reader)
                produced.update(flow.results(reader))
                # What waits for a second operand becomes complete by this one.
                pending += [reader, *members]
    return members


def _readers(flow: Flow, step: int) -> Iterator[int]:
    for tensor in flow.results(step):
        yield from flow.readers.get(tensor, ())
