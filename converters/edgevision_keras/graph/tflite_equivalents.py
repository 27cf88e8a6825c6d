"""Operations that TFLite lacks, written as others that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgevision_keras.graph.nodes import constant
from edgevision_keras.graph.substitution import Equivalent, with_equivalents
from edgevision_keras.libraries import require_tensorflow

#: Coefficients of an odd rational approximation of erf between -4 and 4, highest power first, as in Eigen's
#: `generic_fast_erf_float`, which TensorFlow itself uses; the error is a few units in the last place.
_ERF_ABOVE = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
_ERF_LIMIT = 4.0
#: Factors of the argument by which TFLite's converter recognises GELU, which has a kernel of its own.
_GELU_FACTOR = 0.70710678
#: Axes of a batch of volumes.
_VOLUME = 5
#: Comparisons that counting the values of one image may take.
_MOST_COMPARISONS = 1_000_000


def tflite_converter(frozen: Any) -> Any:
    """A `tf.lite.TFLiteConverter` of a graph, whose operations that TFLite lacks were replaced.

    Args:
        frozen: a concrete function of constants, without function calls.
    """
    own = with_equivalents(frozen, _equivalents())
    return require_tensorflow().lite.TFLiteConverter.from_concrete_functions([own])


def _equivalents() -> Mapping[str, Equivalent]:
    tf = require_tensorflow()

    def one_input(compute: Callable[[Any], Any]) -> Equivalent:
        return lambda _, x: compute(x)

    def leg(x: Any) -> Any:
        return tf.sqrt((1 - x) * (1 + x))

    return {
        "Acos": one_input(lambda x: tf.atan2(leg(x), x)),
        "Acosh": one_input(lambda x: tf.math.log(x + tf.sqrt((x - 1) * (x + 1)))),
        "Asin": one_input(lambda x: tf.atan2(x, leg(x))),
        "Asinh": one_input(lambda x: tf.sign(x) * tf.math.log(tf.abs(x) + tf.sqrt(x * x + 1))),
        "Atan": one_input(lambda x: tf.atan2(x, tf.ones_like(x))),
        "Atanh": one_input(lambda x: 0.5 * tf.math.log((1 + x) / (1 - x))),
        "AvgPool3D": _pooled(tf.nn.avg_pool2d),
        "BatchToSpaceND": _space_of_batch,
        "Cosh": one_input(lambda x: 0.5 * (tf.exp(x) + tf.exp(-x))),
        "Cumprod": _products,
        "DenseBincount": _counts,
        "Erf": lambda operation, x: None if _is_gelu(operation) else _erf(x),
        "Erfc": lambda operation, x: None if _is_gelu(operation) else 1 - _erf(x),
        "MatrixDiagPartV3": _diagonal,
        "MaxPool3D": _pooled(tf.nn.max_pool2d),
        "SpaceToBatchND": _batch_of_space,
        "Sinh": one_input(lambda x: 0.5 * (tf.exp(x) - tf.exp(-x))),
        "Tan": one_input(lambda x: tf.sin(x) / tf.cos(x)),
    }


def _erf(x: Any) -> Any:
    tf = require_tensorflow()
    x = tf.clip_by_value(x, -_ERF_LIMIT, _ERF_LIMIT)
    share = x / _ERF_LIMIT
    return x * _polynomial(_ERF_ABOVE, share * share) / _polynomial(_ERF_BELOW, share * share)


def _polynomial(coefficients: tuple[float, ...], squared_share: Any) -> Any:
    """A polynomial in x², of (x / limit)²: its coefficients then have digits in a float16 file too."""
    result: Any = 0.0
    for power, coefficient in zip(reversed(range(len(coefficients))), coefficients, strict=True):
        result = result * squared_share + coefficient * _ERF_LIMIT ** (2 * power)
    return result


def _is_gelu(operation: Any) -> bool:
    """Return whether an error function is part of x·Φ(x), which the converter makes one operator."""
    before = operation.inputs[0].op
    factors = [constant(tensor) for tensor in before.inputs]
    sizes = [abs(float(values)) for values in factors if values is not None and np.ndim(values) == 0]
    if before.type not in ("Mul", "RealDiv") or len(sizes) != 1:
        return False
    factor = sizes[0] if before.type == "Mul" else 1 / max(sizes[0], 1e-30)
    return abs(factor - _GELU_FACTOR) < 1e-4 and _meets_a_tensor(operation.outputs[0])


def _meets_a_tensor(tensor: Any) -> bool:
    """Return whether every use of a tensor ends, after constants, in a product with another tensor."""
    uses = tensor.consumers()
    for operation in uses:
        if operation.type not in ("Add", "AddV2", "Mul"):
            return False
        others = [other for other in operation.inputs if other is not tensor]
        is_product = operation.type == "Mul" and any(constant(other) is None for other in others)
        if not is_product and not _meets_a_tensor(operation.outputs[0]):
            return False
    return bool(uses)


def _pooled(pool: Callable[..., Any]) -> Equivalent:
    """Pooling over rows and columns, then over the planes: both maxima and means can be taken in parts."""

    def equivalent(operation: Any, x: Any) -> Any:
        tf = require_tensorflow()
        planes, height, width, channels = x.shape.as_list()[1:]
        if None in (planes, height, width, channels) or operation.get_attr("data_format") != b"NDHWC":
            return None
        sizes, strides = (list(operation.get_attr(name))[1:4] for name in ("ksize", "strides"))
        padding = operation.get_attr("padding").decode()
        x = pool(tf.reshape(x, (-1, height, width, channels)), sizes[1:], strides[1:], padding)
        height, width = x.shape[1:3]
        x = tf.reshape(x, (-1, planes, height * width, channels))
        x = pool(x, [sizes[0], 1], [strides[0], 1], padding)
        return tf.reshape(x, (-1, x.shape[1], height, width, channels))

    return equivalent


def _products(operation: Any, x: Any, _: Any) -> Any:
    """Products of all values up to each, in steps that double the number of factors."""
    tf = require_tensorflow()
    axis = constant(operation.inputs[1])
    if axis is None or x.shape[int(axis)] is None:
        return None
    axis = int(axis) % x.shape.rank
    length = int(x.shape[axis])
    reverse = operation.get_attr("reverse")

    def shifted(values: Any, places: int) -> Any:
        begin, size = [0] * x.shape.rank, [-1] * x.shape.rank
        begin[axis], size[axis] = places if reverse else 0, length - places
        kept = tf.slice(values, begin, size)
        ones = tf.ones_like(tf.slice(values, [0] * x.shape.rank, [*size[:axis], places, *size[axis + 1 :]]))
        return tf.concat([kept, ones] if reverse else [ones, kept], axis)

    if operation.get_attr("exclusive"):
        x = shifted(x, 1)
    places = 1
    while places < length:
        x = x * shifted(x, places)
        places *= 2
    return x


def _counts(operation: Any, x: Any, _: Any, weights: Any) -> Any:
    """Each value compared with each bin; values outside of the bins are counted nowhere."""
    tf = require_tensorflow()
    size = _bins(operation.inputs[1])
    if size is None or x.shape.rank != 2 or (x.shape[-1] or 1) * int(size) > _MOST_COMPARISONS:
        return None
    found = tf.equal(tf.expand_dims(x, -1), tf.range(int(size), dtype=x.dtype))
    if operation.get_attr("binary_output"):
        return tf.cast(tf.reduce_any(found, axis=1), operation.outputs[0].dtype)
    counted = tf.cast(found, operation.outputs[0].dtype)
    if operation.inputs[2].shape.num_elements() != 0:
        counted = counted * tf.expand_dims(weights, -1)
    return tf.reduce_sum(counted, axis=1)


def _bins(size: Any) -> Any:
    """A number of bins; of one that depends on the values, its limits where they are the same."""
    if size.op.type != "Minimum":
        return constant(size)
    most, least = (constant(tensor) for tensor in (size.op.inputs[0], size.op.inputs[1].op.inputs[0]))
    is_limited = size.op.inputs[1].op.type == "Maximum" and most is not None and least is not None
    return most if is_limited and most == least else None


def _diagonal(operation: Any, x: Any, *_: Any) -> Any:
    """The main diagonal of matrices, as a lookup in their values."""
    tf = require_tensorflow()
    place = constant(operation.inputs[1])
    rows, columns = x.shape[-2:]
    if place is None or np.any(place) or None in x.shape[1:] or x.shape.rank < 3:
        return None
    flat = tf.reshape(x, (-1, *x.shape[1:-2], rows * columns))
    return tf.gather(flat, np.arange(min(rows, columns)) * (columns + 1), axis=-1)


def _batch_of_space(operation: Any, x: Any, *_: Any) -> Any:
    """Volumes in blocks, an axis at a time: the kernel of TFLite takes images alone."""
    tf = require_tensorflow()
    blocks, paddings = (constant(tensor) for tensor in operation.inputs[1:])
    if x.shape.rank != _VOLUME or blocks is None or paddings is None or None in x.shape[1:]:
        return None
    x = tf.pad(x, [[0, 0], *paddings.tolist(), *[[0, 0]] * (_VOLUME - 1 - len(blocks))])
    for axis, block in reversed(list(enumerate(blocks.tolist(), start=1))):
        sizes = x.shape.as_list()
        before, after = int(np.prod(sizes[1:axis])), int(np.prod(sizes[axis + 1 :]))
        parts = tf.reshape(x, (-1, before, sizes[axis] // block, block, after))
        sizes[axis] //= block
        x = tf.reshape(tf.transpose(parts, (3, 0, 1, 2, 4)), (-1, *sizes[1:]))
    return x


def _space_of_batch(operation: Any, x: Any, *_: Any) -> Any:
    """The volumes of `_batch_of_space` again."""
    tf = require_tensorflow()
    blocks, crops = (constant(tensor) for tensor in operation.inputs[1:])
    if x.shape.rank != _VOLUME or blocks is None or crops is None or None in x.shape[1:]:
        return None
    for axis, block in enumerate(blocks.tolist(), start=1):
        sizes = x.shape.as_list()
        before, after = int(np.prod(sizes[1:axis])), int(np.prod(sizes[axis + 1 :]))
        # One batch for each place in the blocks: as many as the blocks are long.
        parts = tf.reshape(x, (block, -1, before, sizes[axis], after))
        sizes[axis] *= block
        x = tf.reshape(tf.transpose(parts, (1, 2, 3, 0, 4)), (-1, *sizes[1:]))
    begins = [0, *crops[:, 0].tolist(), *[0] * (_VOLUME - 1 - len(blocks))]
    sizes = [size - int(crop.sum()) for size, crop in zip(x.shape.as_list()[1:], crops, strict=False)]
    return tf.slice(x, begins, [-1, *sizes, *x.shape.as_list()[1 + len(blocks) :]])
