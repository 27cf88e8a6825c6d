"""Operations that tf2onnx does not translate, written as others that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgevision_keras.graph.resampling import nearest_by_gathering
from edgevision_keras.graph.substitution import Equivalent, substitute
from edgevision_keras.libraries import require_tensorflow


def write_translatable(definition: Any) -> None:
    """Replace each operation without an ONNX equivalent that others can express; in place.

    Args:
        definition: a GraphDef without function calls. Names of nodes stay.
    """
    substitute(definition, _equivalents(require_tensorflow()))


def _equivalents(tf: Any) -> Mapping[str, Equivalent]:
    """Operation -> a function of itself and of its inputs that computes the same."""

    def product(first: Any, second: Any, factor: Any) -> Any:
        # Where the first is 0 the product is 0, also if the logarithm or the quotient is not finite.
        zero = tf.equal(first, tf.zeros_like(first))
        return tf.where(zero, tf.zeros_like(first * second), factor)

    def one(x: Any) -> Any:
        return tf.constant(1, x.dtype)

    def of_inputs(compute: Callable[..., Any]) -> Equivalent:
        return lambda _, *inputs: compute(*inputs)

    def buckets(operation: Any, x: Any) -> Any:
        boundaries = np.array(operation.get_attr("boundaries"), np.float32)
        above = tf.cast(tf.expand_dims(tf.cast(x, tf.float32), -1) >= boundaries, tf.int32)
        return tf.reduce_sum(above, axis=-1)

    def floored(x: Any, y: Any) -> tuple[Any, Any]:
        """Quotient and remainder of integers; those of ONNX and of tf2onnx are rounded towards zero."""
        quotient = tf.raw_ops.Div(x=x, y=y)
        remainder = x - quotient * y
        is_above = tf.logical_and(tf.not_equal(remainder, 0), tf.not_equal(remainder < 0, y < 0))
        above = tf.cast(is_above, x.dtype)
        return quotient - above, remainder + above * y

    def of_integers(part: int) -> Equivalent:
        return lambda _, x, y: floored(x, y)[part] if x.dtype.is_integer else None

    computing = {
        "Erfc": lambda x: one(x) - tf.math.erf(x),
        "Expm1": lambda x: tf.exp(x) - one(x),
        "Log1p": lambda x: tf.math.log(x + one(x)),
        "Inv": tf.math.reciprocal,
        "Xlogy": lambda x, y: product(x, y, x * tf.math.log(y)),
        "Xlog1py": lambda x, y: product(x, y, x * tf.math.log(y + one(y))),
        "Xdivy": lambda x, y: product(x, y, x / y),
        "MulNoNan": lambda x, y: product(y, x, x * y),
        "L2Loss": lambda x: tf.reduce_sum(x * x) * tf.constant(0.5, x.dtype),
        "LogicalXor": lambda x, y: tf.logical_and(tf.logical_or(x, y), tf.logical_not(tf.logical_and(x, y))),
    }
    equivalents = {name: of_inputs(compute) for name, compute in computing.items()}
    return {
        **equivalents,
        # Of two shapes of one length, the larger size is the one that the other is repeated to.
        "BroadcastArgs": lambda _, x, y: tf.maximum(x, y) if x.shape == y.shape else None,
        "Bucketize": buckets,
        "FloorDiv": of_integers(0),
        "FloorMod": of_integers(1),
        "ResizeNearestNeighbor": nearest_by_gathering,
    }
