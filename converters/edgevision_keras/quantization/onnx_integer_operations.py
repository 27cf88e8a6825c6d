"""The operations of an ONNX file that ONNX Runtime's integer kernels compute on a CPU.

Every product with constant weights is an integer operation. For the others, convolutions too, the times of
both forms and of the conversions between them are added up, and the cheapest assignment is a minimum cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any

from edgevision_keras.quantization.flow import FloatOperator, Flow, Operator
from edgevision_keras.quantization.integer_assignment import Times, integer_operators
from edgevision_keras.quantization.normalizations import normalizations
from edgevision_keras.quantization.onnx_float_model import OnnxFloatModel

NO_KERNEL = "no int8 kernel"
SLOWER = "slower in int8"
BETWEEN = "between float operations"
NORMALIZATION = "part of a normalization"
ACTIVATION = "part of an activation that is one kernel in float"
REQUESTED = "loses accuracy in int8"
NOT_TRAINED = "no range from training"

#: Products whose kernel also gives its sums in float.
FLOAT_RESULTS = ("Gemm", "MatMul")
_MATRIX = 2
#: Operations that change no values, only their places.
_MOVING = frozenset(
    {"DepthToSpace", "Flatten", "Gather", "Reshape", "Resize", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
)
_POOLING = frozenset({"AveragePool", "GlobalAveragePool", "MaxPool"})
#: Rectifiers are the lower end of the range of the operation before, and then cost nothing.
_RECTIFIERS = frozenset({"Clip", "Relu"})
#: Time of an operation with uint8 activations over that of the float one, ONNX Runtime 1.32 on one core of
#: x86-64 with VNNI. Operations that are not here have no kernel that the runtime joins with conversions.
_INT8_OVER_FLOAT: Mapping[str, float] = {
    "Add": 0.9,
    "AveragePool": 1.0,
    "Clip": 0.0,
    "Concat": 2.4,
    "DepthToSpace": 0.6,
    "Flatten": 1.0,
    "Gather": 0.3,
    "Gemm": 0.5,
    "GlobalAveragePool": 0.8,
    "LeakyRelu": 1.5,
    "MatMul": 0.5,
    "MaxPool": 0.5,
    "Mul": 1.5,
    "Relu": 0.0,
    "Reshape": 1.0,
    "Resize": 0.5,
    "Sigmoid": 0.9,
    "Slice": 0.5,
    "Squeeze": 1.0,
    "Transpose": 0.4,
    "Unsqueeze": 1.0,
}
#: Time of one element in float, where that is not 1. A convolution in float has its rectifier in its kernel.
#: The runtime moves conversions before poolings of maxima, which then are slow ones.
_EXPENSIVE: Mapping[str, float] = {
    "Clip": 0.1,
    "Concat": 0.85,
    "MaxPool": 3.0,
    "Relu": 0.1,
    "Resize": 0.65,
    "Sigmoid": 2.5,
}
_FREE = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
#: Times of a conversion between uint8 and float, with the other order of the axes that the kernels of either
#: want: of each element, and of any operation, in elements.
_CONVERSION, _OVERHEAD = 2.5, 8000
#: Times of a convolution: of each multiplication in float and in integers, and in integers of each pixel,
#: where the kernel has more than one: with few channels, that is most of the time.
_FLOAT_PRODUCT, _INTEGER_PRODUCT, _INTEGER_PIXEL = 0.17, 0.08, 130.0
#: A convolution is in float only if it then takes less than this part of the time: its weights have four
#: times the bytes.
_FLOAT_SHARE = 0.5
#: Channels that a float kernel computes at a time.
_FLOAT_BLOCK = 16
#: The operations of normalizations in the words of `normalizations`.
_IN_NORMALIZATIONS: Mapping[str, str] = {
    "Add": "ADD",
    "Div": "DIV",
    "GlobalAveragePool": "MEAN",
    "Mul": "MUL",
    "Neg": "NEG",
    "Pow": "POW",
    "Reciprocal": "DIV",
    "ReduceMean": "MEAN",
    "ReduceSum": "SUM",
    "Sqrt": "SQRT",
    "Sub": "SUB",
}
#: Functions in the middle of activations that the runtime joins to one kernel, such as GELU.
_COMPOSED = frozenset({"Erf", "Tanh"})
_AFFINE = frozenset({"Add", "Div", "Mul", "Sub"})


@dataclass(frozen=True)
class IntegerOperations:
    """The operations of a float file by the form in which they are computed once it is quantized.

    Attributes:
        names: names of the operations that are computed in integers.
        floats: those that compute in float between them. At the ends of the network are more, as its inputs
            and outputs are float.
    """

    names: tuple[str, ...]
    floats: tuple[FloatOperator, ...]


def integer_operations(model: OnnxFloatModel, kept: Mapping[str, str]) -> IntegerOperations:
    """Choose the operations that are computed in integers.

    Args:
        model: the float file.
        kept: name of an operation that stays in float in any case -> the reason.
    """
    flow, interface = _read_flow(model)
    reasons: dict[int, str] = dict.fromkeys(_composed(flow), ACTIVATION)
    reasons |= dict.fromkeys(normalizations(_without_moves(flow)), NORMALIZATION)
    bound, layers = set(), set()
    for step, (operator, node) in enumerate(zip(flow.steps, model.nodes, strict=True)):
        if operator.name in kept:
            reasons[step] = kept[operator.name]
        elif not _has_kernel(node, model):
            reasons[step] = NO_KERNEL
        elif operator.operation == "Conv":
            layers.add(step)
        elif operator.operation in FLOAT_RESULTS:
            bound.add(step)
        elif operator.operation in _RECTIFIERS and not (_is_fused(flow, step) and _passes_zero(node, model)):
            reasons[step] = NO_KERNEL
        elif _adds_to_product(flow, step):
            reasons[step] = BETWEEN
    bound -= reasons.keys()
    layers |= bound
    # What comes before the first and after the last of these is not worth an error of its own.
    between = flow.ahead(layers) & flow.behind(layers)
    for step, operator in enumerate(flow.steps):
        if step not in between and operator.operation not in _MOVING | _POOLING | _RECTIFIERS:
            reasons.setdefault(step, BETWEEN)
    times = [_times(model, node, flow.size(step)) for step, node in enumerate(model.nodes)]
    in_int8 = integer_operators(flow, times, _conversion, reasons, bound, *interface)
    between = flow.ahead(in_int8) & flow.behind(in_int8) - in_int8
    return IntegerOperations(
        tuple(flow.steps[step].name for step in sorted(in_int8)),
        tuple(
            FloatOperator(operator.operation, _scoped_name(node), reasons.get(step, SLOWER))
            for step, (operator, node) in enumerate(zip(flow.steps, model.nodes, strict=True))
            if (step in between and flow.size(step) and operator.operation not in _MOVING | _RECTIFIERS)
            or reasons.get(step) == REQUESTED
        ),
    )


def _scoped_name(node: Any) -> str:
    """The name of an operation in its layer's scope; of one that tf2onnx named itself, that of its result."""
    return str(node.name if "/" in node.name else node.output[0].partition(":")[0])


def _times(model: OnnxFloatModel, node: Any, size: int) -> Times:
    if node.op_type in _FREE:
        return Times(1, 1)
    if node.op_type == "Conv" and node.input[1] in model.constants and node.output[0] in model.shapes:
        return _convolution_times(model, node)
    in_float = round(_EXPENSIVE.get(node.op_type, 1.0) * size) + _OVERHEAD
    ratio = _INT8_OVER_FLOAT.get(node.op_type)
    in_int8 = None if ratio is None else round(in_float * ratio)
    return Times(in_float, in_int8, node.op_type in FLOAT_RESULTS)


def _convolution_times(model: OnnxFloatModel, node: Any) -> Times:
    channels, *kernel = model.constants[node.input[1]].dims  # (outputs, inputs of a group, height, width)
    pixels = prod(model.shapes[node.output[0]][2:])
    products = pixels * prod(kernel)
    in_float = products * (-(-channels // _FLOAT_BLOCK) * _FLOAT_BLOCK) * _FLOAT_PRODUCT
    in_int8 = products * channels * _INTEGER_PRODUCT
    if prod(kernel[1:]) > 1:
        in_int8 += pixels * _INTEGER_PIXEL
    return Times(round(in_float / _FLOAT_SHARE) + _OVERHEAD, round(in_int8) + _OVERHEAD)


def _conversion(size: int) -> int:
    return round(_CONVERSION * size) + _OVERHEAD


def _read_flow(model: OnnxFloatModel) -> tuple[Flow, tuple[dict[int, int], dict[int, int]]]:
    """The operators of a file, and its inputs and outputs as `integer_operators` takes them: float."""
    numbers: dict[str, int] = {}
    following = count()

    def number(name: str) -> int:
        if name not in numbers:
            numbers[name] = next(following)
        return numbers[name]

    steps = [
        Operator(
            node.op_type,
            node.name,
            tuple(number(name) for name in node.input if name and name not in model.constants),
            tuple(number(name) for name in node.output if name),
        )
        for node in model.nodes
    ]
    sizes = {number(name): prod(shape) for name, shape in model.shapes.items()}
    graph = model.model.graph
    inputs, outputs = ({number(value.name): 1 for value in side} for side in (graph.input, graph.output))
    return Flow.of(steps, sizes), (inputs, outputs)


def _has_kernel(node: Any, model: OnnxFloatModel) -> bool:
    """True if ONNX Runtime has an integer kernel for an operation with these attributes and constants."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type in ("Conv", "Gemm", "MatMul"):
        weights = model.constants.get(node.input[1])
        if weights is None or node.input[0] in model.constants:
            return False
        if node.op_type == "Gemm":
            factors = [attributes[name].f for name in ("alpha", "beta") if name in attributes]
            is_transposed = "transA" in attributes and attributes["transA"].i
            has_bias = len(node.input) > _MATRIX and node.input[2]
            is_constant = not has_bias or node.input[2] in model.constants
            return is_constant and not is_transposed and all(factor == 1 for factor in factors)
        return node.op_type == "Conv" or len(weights.dims) == _MATRIX
    if node.op_type == "Resize":
        return "mode" not in attributes or attributes["mode"].s == b"nearest"
    return node.op_type in _INT8_OVER_FLOAT and node.output[0] in model.shapes


def _is_fused(flow: Flow, step: int) -> bool:
    """True for a rectifier that alone reads what the operation before computes."""
    read = flow.activations(step)
    return len(read) == 1 and read[0] in flow.producer and len(flow.readers.get(read[0], ())) == 1


def _passes_zero(node: Any, model: OnnxFloatModel) -> bool:
    """False for a rectifier that zero does not pass: every range has zero in it, and does not rectify so."""
    if node.op_type != "Clip":
        return True
    low, high = (model.number(name) for name in [*node.input[1:], "", ""][:2])
    return (low is None or low <= 0) and (high is None or high >= 0)


def _adds_to_product(flow: Flow, step: int) -> bool:
    """True for the addition of a bias to a product that stands alone: the sums are in float already."""
    if flow.steps[step].operation != "Add" or len(flow.activations(step)) != 1:
        return False
    return any(flow.steps[before].operation in FLOAT_RESULTS for before in flow.before(step))


def _without_moves(flow: Flow) -> Flow:
    """The flow as `normalizations` reads it: in its words, and past the reshapes that tf2onnx writes."""
    moved: dict[int, int] = {}
    steps = []
    for step in flow.steps:
        inputs = tuple(moved.get(tensor, tensor) for tensor in step.inputs)
        if step.operation in _MOVING and len(inputs) == 1:
            moved[step.outputs[0]] = inputs[0]
            steps.append(Operator("", step.name, (), ()))
        else:
            steps.append(
                Operator(_IN_NORMALIZATIONS.get(step.operation, ""), step.name, inputs, step.outputs)
            )
    return Flow.of(steps, flow.sizes)


def _composed(flow: Flow) -> set[int]:
    """The factors and sums around a function that together are one activation."""
    members = {step for step, operator in enumerate(flow.steps) if operator.operation in _COMPOSED}
    for start in list(members):
        pending = [start]
        while pending:
            step = pending.pop()
            near = {*flow.after(step), *(flow.before(step) if step == start else ())} - members
            near = {each for each in near if flow.steps[each].operation in _AFFINE}
            members |= near
            pending += near if step == start or len(flow.after(step)) == 1 else ()
    return members
