"""The outputs before their final activation: where a network that is sure still tells right from wrong.

Behind a softmax or a sigmoid, the gradients of a confident network vanish, and with them everything that
they could say about its activations.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from edgevision_keras.quantization.folding import FoldedGraph, input_dependent_tensors

_ACTIVATIONS = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
#: Operations that move values, and do not change them.
_MOVING = frozenset(
    (
        *("Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast", "StopGradient"),
        *("StridedSlice", "Slice", "GatherV2", "ResizeBilinear", "ResizeNearestNeighbor"),
    )
)
_JOINING = frozenset({"ConcatV2", "Pack"})
_AFFINE = frozenset({"Add", "AddV2", "BiasAdd", "Sub", "Mul", "RealDiv"})


def logit_tensors(folded: FoldedGraph) -> list[str]:
    """Names of the tensors before the final activations; an output without one stands for itself.

    Args:
        folded: a graph. Its outputs are followed back through reshapes, slices, concatenations, constant
            factors and products of scores, to a softmax or a sigmoid, as one operation or composed.
    """
    graph = folded.imported()
    dependent = input_dependent_tensors(graph)
    found: dict[str, None] = {}
    for name in folded.outputs:
        output = graph.get_tensor_by_name(name)
        found.update((tensor.name, None) for tensor in _before_activation(output, dependent) or [output])
    return list(found)


def _before_activation(tensor: Any, dependent: Collection[str]) -> list[Any]:
    """The tensors before the last activations that lead to `tensor`; empty if there are none."""
    operation = tensor.op
    inputs = [each for each in operation.inputs if each.name in dependent]
    if not inputs:
        return []
    start = inputs[0] if operation.type in _ACTIVATIONS else _start_of_composed(operation, dependent)
    if start is not None:
        return _before_activation(start, dependent) or [start]
    if operation.type in _MOVING:
        return _before_activation(inputs[0], dependent)
    if operation.type in _JOINING:
        return _of_parts(inputs, dependent)
    if operation.type in _AFFINE:
        parts = [_before_activation(each, dependent) for each in inputs]
        # A product of scores, but not x times the sigmoid of x, which is an activation in itself.
        return [found for part in parts for found in part] if all(parts) else []
    return []


def _of_parts(parts: Sequence[Any], dependent: Collection[str]) -> list[Any]:
    """The tensors before the activations of some of the parts, and the other parts themselves."""
    found = [_before_activation(part, dependent) for part in parts]
    if not any(found):
        return []
    return [tensor for part, before in zip(parts, found, strict=True) for tensor in before or [part]]


def _start_of_composed(operation: Any, dependent: Collection[str]) -> Any | None:
    """The x of exp(x - max(x)) / sum(exp(x - max(x))) or of 1 / (1 + exp(-x)); `None` for others."""
    if operation.type == "Reciprocal" or (
        operation.type == "RealDiv" and operation.inputs[0].name not in dependent
    ):
        return _exponent(operation.inputs[-1], dependent, ("Add", "AddV2"))
    if operation.type in ("RealDiv", "Mul") and _type(operation.inputs[0]) == "Exp":
        exponential, total = operation.inputs
        while _type(total) in ("Identity", "Reciprocal"):
            total = total.op.inputs[0]
        if _type(total) == "Sum" and total.op.inputs[0] is exponential:
            return _without_maximum(exponential.op.inputs[0])
    return None


def _exponent(tensor: Any, dependent: Collection[str], through: Collection[str]) -> Any | None:
    """The x in a constant plus exp(-x)."""
    if tensor.op.type not in through:
        return None
    for each in tensor.op.inputs:
        if each.name in dependent and _type(each) == "Exp":
            argument = each.op.inputs[0]
            return argument.op.inputs[0] if _type(argument) == "Neg" else argument
    return None


def _without_maximum(tensor: Any) -> Any:
    if _type(tensor) == "Sub":
        largest = tensor.op.inputs[1]
        while _type(largest) in ("Identity", "StopGradient", "Reshape", "ExpandDims"):
            largest = largest.op.inputs[0]
        if _type(largest) == "Max":
            return tensor.op.inputs[0]
    return tensor


def _type(tensor: Any) -> str:
    return str(tensor.op.type)
