"""int8 TFLite files without any operation in float, for devices that have none."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgevision_keras.graph.tflite_equivalents import tflite_converter
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.float_operations import has_int8_kernel, is_float
from edgevision_keras.quantization.flow import Operator
from edgevision_keras.quantization.folding import fold, freeze
from edgevision_keras.quantization.integer_inputs import without_any_rounding
from edgevision_keras.quantization.tflite_file import (
    constants,
    float_tensors,
    operators,
    parsed,
    schema,
)

#: Operations without an int8 kernel in the converter that `replace_operations` and `replace_elu` replace.
_REPLACED = frozenset({"NEG", "SQUARE", "ELU"})


def obstacles(trace: Trace) -> list[Operator]:
    """The operators of a source that have no integer equivalent; needs no calibration.

    Args:
        trace: the graph of the source.
    """
    tf = require_tensorflow()
    graph = without_any_rounding(fold(trace))
    converter = tflite_converter(freeze(trace, graph.definition))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    model = parsed(bytes(converter.convert()))
    floats = float_tensors(model.subgraphs[0]) - constants(model)
    return [
        operator
        for operator in operators(model)
        if is_float(operator, floats)
        and not has_int8_kernel(operator.operation)
        and operator.operation not in _REPLACED
    ]


def replace_operations(model: Any) -> None:
    """Replace operations of a float file by others with the same result that have int8 kernels.

    Here and not in TensorFlow's graph: there, the converter would no longer recognise the patterns of GELU
    and PReLU, which have kernels of their own.

    Args:
        model: a `ModelT` with the ranges of its tensors; is changed.
    """
    graph = model.subgraphs[0]
    replaced: list[Any] = []
    for operator, step in zip(list(graph.operators), list(operators(model)), strict=True):
        if step.operation == "NEG":
            factor = _add_constant(model, f"{step.name}/minus_one", -1.0)
            replaced.append(_operator(model, "MUL", [step.inputs[0], factor], step.outputs[0]))
        elif step.operation == "SQUARE":
            replaced.append(_operator(model, "MUL", [step.inputs[0]] * 2, step.outputs[0]))
        elif step.operation == "HARD_SWISH":
            replaced += _hard_swish(model, step)
        else:
            replaced.append(operator)
    graph.operators = replaced


def _hard_swish(model: Any, step: Operator) -> list[Any]:
    """x·relu(1 - relu(1/2 - x/6)): exact, and of kernels that are fast in int8."""
    (value,), (result,) = step.inputs, step.outputs
    low, high = _range(model, value)
    shape = model.subgraphs[0].tensors[value]
    sixth = _add_tensor(model, f"{step.name}/sixth", shape, -high / 6, -low / 6)
    lack = _add_tensor(model, f"{step.name}/lack", shape, 0.0, max(0.5 - low / 6, 1e-3))
    gate = _add_tensor(model, f"{step.name}/gate", shape, 0.0, 1.0)
    factor, half, one = (
        _add_constant(model, f"{step.name}/{name}", number)
        for name, number in (("factor", -1 / 6), ("half", 0.5), ("one", 1.0))
    )
    return [
        _operator(model, "MUL", [value, factor], sixth),
        _operator(model, "ADD", [sixth, half], lack, rectified=True),
        _operator(model, "SUB", [one, lack], gate, rectified=True),
        _operator(model, "MUL", [value, gate], result),
    ]


def replace_elu(model: Any) -> None:
    """Let ELU compute on int8, as its kernel can; the converter puts conversions around it instead.

    Args:
        model: an int8 file as a `ModelT`; is changed.
    """
    graph = model.subgraphs[0]
    steps = list(operators(model))
    producers = {tensor: number for number, step in enumerate(steps) for tensor in step.outputs}
    readers: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        for tensor in step.inputs:
            readers.setdefault(tensor, []).append(number)
    dropped = set()
    for number, step in enumerate(steps):
        after = readers.get(step.outputs[0], []) if step.operation == "ELU" else []
        before = producers.get(step.inputs[0], -1) if after else -1
        if before < 0 or len(after) != 1 or steps[after[0]].operation != "QUANTIZE":
            continue
        if steps[before].operation == "DEQUANTIZE":
            graph.operators[number].inputs = [steps[before].inputs[0]]
            graph.operators[number].outputs = [steps[after[0]].outputs[0]]
            dropped.add(after[0])
            if len(readers[step.inputs[0]]) == 1:
                dropped.add(before)
    graph.operators = [operator for number, operator in enumerate(graph.operators) if number not in dropped]


def _range(model: Any, tensor: int) -> tuple[float, float]:
    quantization = model.subgraphs[0].tensors[tensor].quantization
    return float(quantization.min[0]), float(quantization.max[0])


def _operator(model: Any, operation: str, inputs: list[int], output: int, *, rectified: bool = False) -> Any:
    """A new operator of the kinds ADD, SUB and MUL."""
    classes = schema()
    number = getattr(classes.BuiltinOperator, operation)
    code = classes.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    model.operatorCodes.append(code)
    name = operation.capitalize()
    options = getattr(classes, f"{name}OptionsT")()
    kinds = classes.ActivationFunctionType
    options.fusedActivationFunction = kinds.RELU if rectified else kinds.NONE
    operator = classes.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, [output]
    operator.builtinOptionsType = getattr(classes.BuiltinOptions, f"{name}Options")
    operator.builtinOptions = options
    return operator


def _add_constant(model: Any, name: str, number: float) -> int:
    """Index of a new tensor of one float."""
    classes = schema()
    buffer = classes.BufferT()
    buffer.data = np.frombuffer(np.float32(number).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = classes.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), [], classes.TensorType.FLOAT32
    tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _add_tensor(model: Any, name: str, like: Any, low: float, high: float) -> int:
    """Index of a new activation with a shape and a range."""
    classes = schema()
    tensor = classes.TensorT()
    tensor.name, tensor.type, tensor.buffer = name.encode(), classes.TensorType.FLOAT32, 0
    tensor.shape, tensor.shapeSignature = like.shape, like.shapeSignature
    tensor.quantization = classes.QuantizationParametersT()
    tensor.quantization.min = np.array([low], np.float32)
    tensor.quantization.max = np.array([high], np.float32)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1
