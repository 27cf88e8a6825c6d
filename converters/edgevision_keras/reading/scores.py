"""The kind of scores that each output of a source holds, inferred from its graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.operations import depends_on_input
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

_PASSING = frozenset(
    ("Identity", "IdentityN", "Cast", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StopGradient")
)
#: Operations that compute what is called logits if it is meant as scores of classes.
_WEIGHTED = frozenset(("MatMul", "BatchMatMul", "BatchMatMulV2", "Conv2D", "DepthwiseConv2dNative", "Einsum"))
_AFFINE = frozenset(("Add", "AddV2", "AddN", "Sub", "Mul", "RealDiv", "Div", "BiasAdd", "Mean", "Neg"))
_NORMALIZATIONS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))

#: (lowest, highest) value.
_Bounds = tuple[float, float]
_UNBOUNDED = (-math.inf, math.inf)
_BOUNDED: dict[str, _Bounds] = {
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
    "Relu6": (0.0, 6.0),
    "Relu": (0.0, math.inf),
    "Exp": (0.0, math.inf),
    "Softplus": (0.0, math.inf),
    "Square": (0.0, math.inf),
    "Abs": (0.0, math.inf),
}

_PROBES = 4  # an even number
#: Largest deviation from 1 of the sum of a row that a softmax computes in float32.
_SUM = 1e-3


def score_kinds(trace: Trace) -> dict[str, str]:
    """The kind of scores of each output that has one value per class; see `SourceFacts.score_kinds`.

    Of a map ``(batch, height, width, classes)``, it is that of each pixel.

    The operation that computes an output decides, where it leaves no doubt. Otherwise the graph is run on
    random inputs: what sums to 1 on each of them is a softmax, however it is composed.

    Args:
        trace: the graph of the source.
    """
    kinds: dict[str, str] = {}
    undecided = []
    for place, spec in enumerate(trace.outputs):
        classes = spec.shape[-1] if len(spec.shape) >= 2 else None
        is_map = len(spec.shape) == 4 and any(size != 1 for size in spec.shape[1:-1])
        if classes is None or (any(size != 1 for size in spec.shape[1:-1]) and not is_map):
            continue
        tensor = _computed(trace.frozen.outputs[place])
        kind = _kind_of_operation(tensor, classes)
        if kind is not None:
            kinds[spec.name] = kind
        elif is_map:
            continue  # a sum of 1 over a map would say nothing of its pixels
        elif tensor.op.type != "Softmax":  # one over another axis: groups of scores
            undecided.append((place, spec.name, tensor))
    if undecided:
        rows = _probe(trace)
        for place, name, tensor in undecided:
            kind = _kind_of_values(rows[place]) or _kind_of_bounds(tensor)
            if kind is not None:
                kinds[name] = kind
    return kinds


def _computed(tensor: Any) -> Any:
    """The tensor whose values, perhaps in another shape, are those of `tensor`."""
    while tensor.op.type in _PASSING:
        tensor = tensor.op.inputs[0]
    return tensor


def _kind_of_operation(tensor: Any, classes: int) -> str | None:
    kind = tensor.op.type
    if kind in ("Softmax", "LogSoftmax") and tensor.shape[-1] == classes:
        # The softmax of a logarithm of a softmax is that softmax: such scores are logits, without doubt.
        return "softmax" if kind == "Softmax" else "logits"
    if kind == "Sigmoid":
        return "sigmoid"
    if kind == "BiasAdd" or (kind in ("Add", "AddV2") and _constant(tensor.op.inputs[1]) is not None):
        tensor = _computed(tensor.op.inputs[0])
    return "linear" if tensor.op.type in _WEIGHTED else None


def _probe(trace: Trace) -> list[Array]:
    """The outputs for a few random inputs, each float64 (images, values)."""
    tf = require_tensorflow()
    rng = np.random.default_rng(0)
    # At both scales: exponentials of large values overflow, and small ones hardly move a saturated network.
    highest = np.where(np.arange(_PROBES) % 2, 255.0, 1.0)
    inputs = []
    for spec in trace.inputs:
        values = rng.uniform(0, 1, spec.with_batch(_PROBES)).T * (highest if len(spec.shape) == 4 else 1.0)
        inputs.append(tf.constant(values.T, tf.float32))
    with tf.device("/CPU:0"):
        outputs = trace.frozen(*inputs)
    return [np.asarray(output, np.float64).reshape(_PROBES, -1) for output in outputs]


def _kind_of_values(rows: Array) -> str | None:
    rows = rows[np.isfinite(rows).all(axis=1)]
    if rows.shape[1] < 2 or len(rows) < _PROBES // 2:
        return None
    if rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1).max() < _SUM:
        return "softmax"
    if rows.max() <= 0 and np.abs(np.exp(rows).sum(axis=1) - 1).max() < _SUM:
        return "logits"
    return None


def _kind_of_bounds(tensor: Any) -> str | None:
    """``sigmoid`` for values of 0…1 and ``linear`` for sums without bounds; `None` for anything else."""
    low, high = _bounds(tensor, {})
    if abs(low) < _SUM and abs(high - 1) < _SUM:
        return "sigmoid"
    return "linear" if _is_linear(tensor, {}, {}) else None


def _is_linear(tensor: Any, known: dict[str, bool], dependent: dict[str, bool]) -> bool:
    """True for sums and multiples of the outputs of linear layers.

    Args:
        tensor: a tensor of the graph.
        known: operation name -> result; a tensor that is used twice is looked at once.
        dependent: as `known` of `depends_on_input`.
    """
    operation = _computed(tensor).op
    if operation.name not in known:
        known[operation.name] = _is_linear_operation(operation, known, dependent)
    return known[operation.name]


def _is_linear_operation(operation: Any, known: dict[str, bool], dependent: dict[str, bool]) -> bool:
    if operation.type in _WEIGHTED:
        return True
    if operation.type not in _AFFINE:
        return operation.type in _NORMALIZATIONS
    variable = [value for value in operation.inputs if depends_on_input(value, dependent)]
    if operation.type in ("Mul", "RealDiv", "Div") and (
        len(variable) != 1 or (operation.type != "Mul" and variable[0] is not operation.inputs[0])
    ):
        return False
    return all(_is_linear(value, known, dependent) for value in variable)


def _bounds(tensor: Any, known: dict[str, _Bounds]) -> _Bounds:
    """Bounds of a tensor's values that follow from the operations that compute it.

    Args:
        tensor: a tensor of the graph.
        known: tensor name -> result; a tensor that is used twice is looked at once.
    """
    tensor = _computed(tensor)
    if tensor.name not in known:
        known[tensor.name] = _bounds_of_operation(tensor, known)
    return known[tensor.name]


def _bounds_of_operation(tensor: Any, known: dict[str, _Bounds]) -> _Bounds:
    constant = _constant(tensor)
    if constant is not None:
        return float(constant.min()), float(constant.max())
    operation = tensor.op
    if operation.type in _BOUNDED:
        return _BOUNDED[operation.type]
    if operation.type in ("Mean", "Max", "Min", "GatherV2", "StridedSlice"):
        return _bounds(operation.inputs[0], known)
    if operation.type == "ClipByValue":
        value, low, high = (_bounds(each, known) for each in operation.inputs)
        return max(value[0], low[0]), min(value[1], high[1])
    combine = _COMBINATIONS.get(operation.type)
    if combine is None:
        return _UNBOUNDED
    bounds = [_bounds(value, known) for value in operation.inputs]
    total = bounds[0] if len(bounds) > 1 else combine(bounds[0], bounds[0])
    for other in bounds[1:]:
        total = combine(total, other)
    return total


def _added(one: _Bounds, other: _Bounds) -> _Bounds:
    return one[0] + other[0], one[1] + other[1]


def _subtracted(one: _Bounds, other: _Bounds) -> _Bounds:
    return one[0] - other[1], one[1] - other[0]


def _multiplied(one: _Bounds, other: _Bounds) -> _Bounds:
    # The product of 0 and infinity: a bound of exactly 0 stays 0, whatever it is multiplied by.
    products = [0.0 if 0.0 in (a, b) else a * b for a in one for b in other]
    return min(products), max(products)


def _divided(one: _Bounds, other: _Bounds) -> _Bounds:
    if other[0] <= 0:
        return _UNBOUNDED
    return _multiplied(one, (1 / other[1], 1 / other[0]))


_COMBINATIONS: dict[str, Any] = {
    "Add": _added,
    "AddV2": _added,
    "AddN": _added,
    "Sub": _subtracted,
    "Mul": _multiplied,
    "RealDiv": _divided,
    "Div": _divided,
    "Neg": lambda one, _: (-one[1], -one[0]),
    "Reciprocal": lambda one, _: _divided((1.0, 1.0), one),
    "Inv": lambda one, _: _divided((1.0, 1.0), one),
    "Minimum": lambda one, other: (min(one[0], other[0]), min(one[1], other[1])),
    "Maximum": lambda one, other: (max(one[0], other[0]), max(one[1], other[1])),
}


def _constant(tensor: Any) -> Array | None:
    while tensor.op.type in ("Identity", "Cast"):
        tensor = tensor.op.inputs[0]
    values = require_tensorflow().get_static_value(tensor)
    return None if values is None or np.size(values) == 0 else np.asarray(values, np.float64)
