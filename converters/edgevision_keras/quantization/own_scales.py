"""Scales of their own for the inputs of operators that stay in float.

The quantizer gives the inputs and outputs of an operator that only moves or chooses values one scale, even
where that operator stays in float: with ``where(mask, x, -1e9)``, all of x falls on one step. A stand-in
before each input, which the quantizer takes for an operator with a scale of its own, keeps them apart, and is
removed after.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from edgevision_keras.quantization.tflite_file import (
    constants,
    float_tensors,
    operators,
    packed,
    parsed,
    schema,
)

#: TensorFlow's operators with the interface SameScalesOpInterface.
_SHARING = frozenset(
    {
        *("AVERAGE_POOL_2D", "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE"),
        *("DYNAMIC_UPDATE_SLICE", "EXPAND_DIMS", "GATHER", "GATHER_ND", "MAXIMUM", "MAX_POOL_2D", "MINIMUM"),
        *("MIRROR_PAD", "PACK", "PAD", "PADV2", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RESHAPE"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "SCATTER_ND", "SELECT", "SELECT_V2"),
        *("SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE"),
        *("TILE", "TOPK_V2", "TRANSPOSE", "UNPACK"),
    }
)
_PREFIX = "edgevision/stand_in_"


def add_stand_ins(model: Any, denied: Collection[str]) -> set[str]:
    """Put a stand-in before each float activation that an operator in float reads and shares its scale with.

    Args:
        model: a float file as a `ModelT`; is changed.
        denied: names of the operators that stay in float.

    Returns:
        The names of the stand-ins, which have to stay in float too.
    """
    graph = model.subgraphs[0]
    activations = float_tensors(graph) - constants(model)
    written: list[Any] = []
    names: set[str] = set()
    for operator, step in zip(list(graph.operators), list(operators(model)), strict=True):
        if step.name in denied and step.operation in _SHARING:
            inputs = [int(index) for index in operator.inputs]
            for place, index in enumerate(inputs):
                if index in activations:
                    name = f"{_PREFIX}{len(names)}"
                    inputs[place] = _add_like(graph, index, name)
                    written.append(_identity(model, index, inputs[place]))
                    names.add(name)
            operator.inputs = inputs
        written.append(operator)
    graph.operators = written
    return names


def without_stand_ins(content: bytes) -> bytes:
    """The file without stand-ins; their readers read what these read."""
    model = parsed(content)
    for graph in model.subgraphs:
        steps = list(operators(model, graph))
        stand_ins = {step.outputs[0]: step.inputs[0] for step in steps if step.name.startswith(_PREFIX)}
        kept = [
            operator
            for operator, step in zip(graph.operators, steps, strict=True)
            if not step.name.startswith(_PREFIX)
        ]
        for operator in kept:
            operator.inputs = [stand_ins.get(int(index), int(index)) for index in operator.inputs]
        graph.operators = kept
    return packed(model)


def _identity(model: Any, source: int, result: int) -> Any:
    """An operator that changes nothing, and that no optimization of the quantizer removes."""
    classes = schema()
    code = classes.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = classes.BuiltinOperator.LEAKY_RELU
    code.version = 1
    model.operatorCodes.append(code)
    operator = classes.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [source], [result]
    operator.builtinOptionsType = classes.BuiltinOptions.LeakyReluOptions
    operator.builtinOptions = classes.LeakyReluOptionsT()
    operator.builtinOptions.alpha = 1.0
    return operator


def _add_like(graph: Any, index: int, name: str) -> int:
    """Index of a new activation with the shape of another, without a range."""
    like = graph.tensors[index]
    tensor = schema().TensorT()
    tensor.name, tensor.type, tensor.buffer = name.encode(), like.type, 0
    tensor.shape, tensor.shapeSignature = like.shape, like.shapeSignature
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
