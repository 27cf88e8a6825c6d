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
        "Cosh": one_input(lambda x: 0.5 * (tf.exp(x) + tf.exp(-x))),
        "Erf": lambda operation, x: None if _is_gelu(operation) else _erf(x),
        "Erfc": lambda operation, x: None if _is_gelu(operation) else 1 - _erf(x),
        "MaxPool3D": _pooled(tf.nn.max_pool2d),
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
