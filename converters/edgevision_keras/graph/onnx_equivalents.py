"""Operations that tf2onnx does not translate, written as others that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgevision_keras.libraries import require_tensorflow


def write_translatable(definition: Any) -> None:
    """Replace each operation without an ONNX equivalent that others can express; in place.

    Args:
        definition: a GraphDef without function calls. Names of nodes stay.
    """
    equivalents = _equivalents(require_tensorflow())
    for node in [node for node in definition.node if node.op in equivalents]:
        _replace(definition, node, equivalents[node.op])


def _equivalents(tf: Any) -> Mapping[str, Callable[..., Any]]:
    """Operation -> a function of its inputs that computes the same."""

    def product(first: Any, second: Any, factor: Any) -> Any:
        # Where the first is 0 the product is 0, also if the logarithm or the quotient is not finite.
        zero = tf.equal(first, tf.zeros_like(first))
        return tf.where(zero, tf.zeros_like(first * second), factor)

    def one(x: Any) -> Any:
        return tf.constant(1, x.dtype)

    return {
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


def _replace(definition: Any, node: Any, equivalent: Callable[..., Any]) -> None:
    """Make a node of a GraphDef pass on what a function of its inputs computes."""
    tf = require_tensorflow()
    kind = node.attr["T"].type or tf.bool.as_datatype_enum
    sources = [name for name in node.input if not name.startswith("^")]
    names = [f"input_{number}" for number in range(len(sources))]
    with tf.Graph().as_default() as graph:
        result = equivalent(*(tf.compat.v1.placeholder(tf.as_dtype(kind), name=name) for name in names))
    renamed = dict(zip(names, sources, strict=True))
    for inner in graph.as_graph_def().node:
        if inner.name in renamed:
            continue
        added = definition.node.add()
        added.CopyFrom(inner)
        added.name = f"{node.name}/{inner.name}"
        added.input[:] = [renamed.get(name, f"{node.name}/{name}") for name in inner.input]
    node.op = "Identity"
    node.ClearField("attr")
    node.ClearField("input")
    node.attr["T"].type = kind
    node.input.append(f"{node.name}/{result.op.name}")
