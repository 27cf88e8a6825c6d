"""The operations of an int8 TFLite file that stay in float: for want of a kernel, for speed, for accuracy.

Each operation that multiplies with constant weights is int8. For the others, the times of both forms and of
the conversions between them are added up, and the cheapest assignment is a minimum cut.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from edgevision_keras.quantization.flow import Operator
from edgevision_keras.quantization.integer_assignment import Times, integer_operators
from edgevision_keras.quantization.normalizations import normalizations
from edgevision_keras.quantization.tflite_file import NOT_COMPUTED
from edgevision_keras.quantization.tflite_flow import read_flow

NO_KERNEL = "no int8 kernel"
INEXACT = "inexact in int8"
SLOWER = "slower in int8"
NORMALIZATION = "part of a normalization"
BETWEEN = "between float operations"
INNER = "a part of one operation of the network"
JOINED = "joins tensors of different ranges"
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
    reasons = dict.fromkeys(normalizations(flow), NORMALIZATION)
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
    times = [_times(operator.operation, flow.size(step)) for step, operator in enumerate(flow.steps)]
    in_int8 = integer_operators(flow, times, _conversion, reasons, bound - set(reasons), *ends)
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


def _times(operation: str, size: int) -> Times:
    if operation in _FREE:
        return Times(1, 1)
    in_float = round(_EXPENSIVE.get(operation, 1.0) * size + _OVERHEAD)
    ratio = _ratio(operation)
    return Times(in_float, None if ratio is None else round(in_float * ratio))


def _conversion(size: int) -> int:
    return round(_CONVERSION * size + _OVERHEAD)
