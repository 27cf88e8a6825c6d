"""The rounding that a network was trained with, taken out of its graph: ranges are kept, and weights rounded.

Networks that are trained for int8 have operations that round weights and activations to the levels of a
range, as those of `edgevision_keras.training` and of TensorFlow's own toolkit do. Converters quantize by
themselves, so a graph for them has the rounded weights as constants, and the ranges as marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision_keras.graph.nodes import as_constant, as_identity
from edgevision_keras.libraries import require_tensorflow

_ROUNDING = frozenset(
    {"FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel", "FakeQuantWithMinMaxArgs"}
)
_BITS = 8
#: A node with this attribute passes a tensor on whose range, [lowest, highest], the training has set.
_MARK = "_trained_range"
#: Steps between the levels of all 8 bits over those from -x to x.
_WHOLE_OVER_NARROW = 128 / 127


class RangesNotSetError(Exception):
    """A network that rounds activations was not trained yet, so that they have no ranges."""


def without_fake_quantization(definition: Any) -> bool:
    """Take the rounding out of a graph; returns True if activations had ranges.

    Args:
        definition: a GraphDef of constants, without function calls; is changed.

    Raises:
        RangesNotSetError: the ranges of its activations are not set.
    """
    rounding = [node for node in definition.node if node.op in _ROUNDING and node.attr["num_bits"].i == _BITS]
    if not rounding:
        return False
    nodes = {node.name: node for node in definition.node}
    dependent = _dependent(definition)
    choices = [
        node
        for node in definition.node
        if node.op in ("Select", "SelectV2")
        and _name(node.input[0]) not in dependent
        and nodes[_name(node.input[1])].op in _ROUNDING
    ]
    activations = [
        node for node in rounding if node.name in dependent and node.op != "FakeQuantWithMinMaxVarsPerChannel"
    ]
    weights = [node for node in rounding if node.name not in dependent]
    constants = [_ends(node) for node in activations if node.op == "FakeQuantWithMinMaxVars"]
    values = _values(
        definition,
        [
            *(node.name for node in weights),
            *(_name(node.input[0]) for node in choices),
            *(end for ends in constants for end in ends),
        ],
    )
    tf = require_tensorflow()
    kind = tf.float32.as_datatype_enum
    for node in weights:
        as_constant(node, values[node.name])
    for node in choices:
        if not values[_name(node.input[0])].all():
            raise RangesNotSetError
        del node.input[2], node.input[0]
        as_identity(node, kind)
    for node in activations:
        _mark(node, values, kind)
    return bool(activations)


def has_trained_range(node: Any) -> bool:
    """True for a node that passes a tensor on whose range the training has set."""
    return _MARK in node.attr


def trained_ranges(definition: Any) -> dict[str, tuple[float, float]]:
    """Name of a tensor -> the range that the training has set for it.

    Args:
        definition: a GraphDef that `without_fake_quantization` has changed, or one made from it.
    """
    return {
        node.input[0] if ":" in node.input[0] else f"{node.input[0]}:0": tuple(node.attr[_MARK].list.f)
        for node in definition.node
        if has_trained_range(node)
    }


def _mark(node: Any, values: Mapping[str, Any], kind: Any) -> None:
    """Let a node that rounds an activation pass it on, with its range as a mark."""
    if node.op == "FakeQuantWithMinMaxVars":
        low, high = (float(values[end]) for end in _ends(node))
    else:
        low, high = node.attr["min"].f, node.attr["max"].f
    if node.attr["narrow_range"].b:
        low *= _WHOLE_OVER_NARROW
    del node.input[1:]
    as_identity(node, kind)
    node.attr[_MARK].list.f.extend([min(low, 0.0), max(high, 0.0)])


def _ends(node: Any) -> tuple[str, str]:
    return _name(node.input[1]), _name(node.input[2])


def _name(tensor: str) -> str:
    return tensor.partition(":")[0]


def _dependent(definition: Any) -> set[str]:
    """Names of the nodes that depend on an input."""
    readers: dict[str, list[str]] = {}
    for node in definition.node:
        for each in node.input:
            readers.setdefault(_name(each), []).append(node.name)
    pending = [node.name for node in definition.node if node.op == "Placeholder"]
    found = set(pending)
    while pending:
        new = set(readers.get(pending.pop(), ())) - found
        found |= new
        pending += new
    return found


def _values(definition: Any, names: Sequence[str]) -> dict[str, Any]:
    """Name of a node that depends on no input -> its value."""
    tf = require_tensorflow()
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    part = tf.compat.v1.graph_util.extract_sub_graph(definition, wanted)
    compute = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(
            part, return_elements=[f"{name}:0" for name in wanted], name=""
        ),
        [],
    )
    return {name: value.numpy() for name, value in zip(wanted, compute(), strict=True)}
