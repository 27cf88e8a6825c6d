"""Complex numbers as pairs of float tensors, and Fourier transforms as products with constant matrices.

Neither TFLite nor ONNX computes with complex numbers, but for one transform of real numbers, whose kernel in
LiteRT takes powers of two alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from edgevision_keras.graph.nodes import constant
from edgevision_keras.graph.rewrites import with_definition
from edgevision_keras.graph.substitution import add_computation, pass_on
from edgevision_keras.libraries import require_tensorflow

#: The two parts of a complex tensor.
Pair = tuple[Any, Any]
#: A function of an operation and of its inputs, symbolic tensors or pairs of them; returns such a one.
Rule = Callable[..., Any]

#: Operations that act on both parts alike.
_APART = frozenset(
    {
        *("Add", "AddV2", "ConcatV2", "ExpandDims", "GatherV2", "Identity", "Mean", "Neg", "Pack", "Pad"),
        *("Reshape", "ReverseV2", "Slice", "Squeeze", "StridedSlice", "Sub", "Sum", "Tile", "Transpose"),
    }
)
#: Longer transforms would have matrices of over 16 MB.
_LONGEST = 2048


def without_complex_numbers(frozen: Any) -> Any:
    """A frozen concrete function with the same names, inputs and outputs, that computes with floats alone.

    Where an operation on complex numbers is not known, nothing is changed.

    Args:
        frozen: a concrete function of constants, without function calls.
    """
    operations = frozen.graph.get_operations()
    if not any(tensor.dtype.is_complex for each in operations for tensor in each.outputs):
        return frozen
    definition = frozen.graph.as_graph_def()
    nodes = {node.name: node for node in definition.node}
    rules = _rules()
    parts: dict[str, Sequence[tuple[str, Any]]] = {}
    for operation in operations:
        if not any(tensor.dtype.is_complex for tensor in (*operation.inputs, *operation.outputs)):
            continue
        rule = rules.get(operation.type)
        known = all(tensor.name in parts for tensor in operation.inputs if tensor.dtype.is_complex)
        results = _added(definition, operation, rule, parts) if rule is not None and known else None
        if results is None:
            return frozen
        if len(results) == 1:
            pass_on(nodes[operation.name], *results[0])
        else:
            parts[operation.outputs[0].name] = results
    return with_definition(frozen, definition)


def _added(
    definition: Any, operation: Any, rule: Rule, parts: Mapping[str, Sequence[tuple[str, Any]]]
) -> list[tuple[str, Any]] | None:
    """Names and dtypes of the one or two float tensors that an operation is computed as."""
    given = []
    for tensor in operation.inputs:
        names = parts.get(tensor.name) or [(tensor.name.removesuffix(":0"), tensor.dtype)]
        given += [(name, kind, tensor.shape) for name, kind in names]

    def compute(*tensors: Any) -> Sequence[Any]:
        rest = iter(tensors)
        inputs = [(next(rest), next(rest)) if each.name in parts else next(rest) for each in operation.inputs]
        result = rule(operation, *inputs)
        return result if isinstance(result, tuple) else [result]

    return add_computation(definition, f"{operation.name}/parts", given, compute)


def _rules() -> Mapping[str, Rule]:
    tf = require_tensorflow()

    def product(_: Any, x: Pair, y: Pair) -> Pair:
        return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]

    def quotient(_: Any, x: Pair, y: Pair) -> Pair:
        square = y[0] * y[0] + y[1] * y[1]
        return (x[0] * y[0] + x[1] * y[1]) / square, (x[1] * y[0] - x[0] * y[1]) / square

    def cast(operation: Any, x: Any) -> Any:
        if isinstance(x, tuple):
            return x if operation.outputs[0].dtype.is_complex else tf.cast(x[0], operation.outputs[0].dtype)
        real = tf.cast(x, tf.float32)
        return real, tf.zeros_like(real)

    def values(operation: Any) -> Pair:
        found = tf.make_ndarray(operation.get_attr("value"))
        return tf.constant(found.real, tf.float32), tf.constant(found.imag, tf.float32)

    def exponential(_: Any, x: Pair) -> Pair:
        return tf.exp(x[0]) * tf.cos(x[1]), tf.exp(x[0]) * tf.sin(x[1])

    return {
        **dict.fromkeys(_APART, _apart),
        "Angle": lambda _, x: tf.atan2(x[1], x[0]),
        "Cast": cast,
        "Complex": lambda _, real, imaginary: (real, imaginary),
        "ComplexAbs": lambda _, x: tf.sqrt(x[0] * x[0] + x[1] * x[1]),
        "Conj": lambda _, x: (x[0], -x[1]),
        "Const": values,
        "Exp": exponential,
        "FFT": partial(_transformed, axes=(-1,), sign=-1),
        "FFT2D": partial(_transformed, axes=(-1, -2), sign=-1),
        "IFFT": partial(_transformed, axes=(-1,), sign=1),
        "IFFT2D": partial(_transformed, axes=(-1, -2), sign=1),
        "IRFFT": _to_real,
        "IRFFT2D": _to_real,
        "Imag": lambda _, x: x[1],
        "Mul": product,
        "RFFT": _of_real,
        "RFFT2D": _of_real,
        "Real": lambda _, x: x[0],
        "RealDiv": quotient,
        "Square": lambda _, x: product(_, x, x),
    }


def _apart(operation: Any, *inputs: Any) -> Pair | None:
    """The same operation on the real and on the imaginary parts."""
    if len(operation.outputs) != 1:
        return None
    raw = getattr(require_tensorflow().raw_ops, operation.type)
    kinds = {each.name for each in operation.op_def.attr if each.type == "type"}
    counts = {each.number_attr for each in operation.op_def.input_arg if each.number_attr}
    attributes = {
        each.name: operation.get_attr(each.name)
        for each in operation.op_def.attr
        if each.name not in kinds | counts
    }

    def of(part: int) -> Any:
        rest = [each[part] if isinstance(each, tuple) else each for each in inputs]
        arguments: dict[str, Any] = {}
        for argument in operation.op_def.input_arg:
            count = operation.get_attr(argument.number_attr) if argument.number_attr else None
            arguments[argument.name] = rest.pop(0) if count is None else [rest.pop(0) for _ in range(count)]
        return raw(**arguments, **attributes)

    return of(0), of(1)


def _transformed(operation: Any, x: Pair, axes: Sequence[int], sign: int) -> Pair | None:
    """The discrete Fourier transform of complex numbers along the last axis or the last two."""
    for axis in axes:
        length = x[0].shape[axis]
        if length is None or length > _LONGEST:
            return None
        x = _multiplied(x, _waves(length, sign), axis)
    return x


def _of_real(operation: Any, x: Any, _: Any) -> Pair | None:
    """The first half of the transform of real numbers, which are cut to its lengths or filled with zeros."""
    lengths = constant(operation.inputs[1])
    size = x.shape[-1]
    if lengths is None or size is None or max(lengths) > _LONGEST:
        return None
    wave = _waves(int(lengths[-1]), -1)[:size, : lengths[-1] // 2 + 1]
    x = x[..., : lengths[-1]]
    tf = require_tensorflow()
    pair = tf.matmul(x, wave.real.astype(np.float32)), tf.matmul(x, wave.imag.astype(np.float32))
    if len(lengths) == 1:
        return pair
    height = x.shape[-2]
    if height is None:
        return None
    cut = pair[0][..., : lengths[0], :], pair[1][..., : lengths[0], :]
    return _multiplied(cut, _waves(int(lengths[0]), -1)[:, :height], -2)


def _to_real(operation: Any, x: Pair, _: Any) -> Any:
    """The real numbers whose transform begins with these."""
    lengths = constant(operation.inputs[1])
    if lengths is None or max(lengths) > _LONGEST or None in x[0].shape[-len(lengths) :]:
        return None
    if len(lengths) > 1:
        height = int(lengths[0])
        cut = x[0][..., :height, :], x[1][..., :height, :]
        x = _multiplied(cut, _waves(height, 1)[:, : x[0].shape[-2]], -2)
    length = int(lengths[-1])
    count = min(length // 2 + 1, int(x[0].shape[-1]))
    # The other half mirrors this one, but for the first number and, of an even length, the last.
    twice = np.where((np.arange(count) == 0) | (2 * np.arange(count) == length), 1.0, 2.0)
    wave = _waves(length, 1)[:count] * twice[:, None]
    tf = require_tensorflow()
    real = tf.matmul(x[0][..., :count], wave.real.astype(np.float32))
    return real - tf.matmul(x[1][..., :count], wave.imag.astype(np.float32))


def _waves(length: int, sign: int) -> Any:
    """The matrix of a transform, (length, length) complex128; backwards, it divides by the length."""
    places = np.outer(np.arange(length), np.arange(length)) % length
    return np.exp(sign * 2j * np.pi * places / length) / (length if sign > 0 else 1)


def _multiplied(x: Pair, wave: Any, axis: int) -> Pair:
    """The product with a complex matrix along the last axis or the one before."""
    tf = require_tensorflow()
    real, imaginary = wave.real.astype(np.float32), wave.imag.astype(np.float32)

    def times(values: Any, matrix: Any) -> Any:
        return tf.matmul(values, matrix) if axis == -1 else tf.matmul(matrix, values)

    return times(x[0], real) - times(x[1], imaginary), times(x[0], imaginary) + times(x[1], real)
