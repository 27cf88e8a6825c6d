"""One traced call and one frozen graph a source: what every artifact of it is made from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.tensors import TensorSpec
from edgevision_keras.libraries import require, require_tensorflow


@dataclass(frozen=True)
class Trace:
    """A source as TensorFlow functions.

    Attributes:
        call: the source itself: one float32 tensor in, a dict of float32 tensors out.
        frozen: the same as a graph of constants, without functions; its outputs are in the
            order of `outputs`.
        inputs, outputs: specs, also the names of the graph's tensors.
    """

    call: Any
    frozen: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def trace(
    model: Callable[[Any], Any], input_name: str, image_shape: Sequence[int], dtype: Any, names: Sequence[str]
) -> Trace:
    """Trace `model` once, and freeze it.

    Args:
        model: takes a tensor (batch, height, width, channels) of `dtype`; gives a dict of
            tensors, or a nest of as many as `names`.
        input_name: what its input is called.
        image_shape: (height, width, channels).
        dtype: of its input; float32 is cast to it.
        names: of its outputs, where it does not give a dict.
    """
    tf = require_tensorflow()
    input_name = identifier(input_name, "input")

    def call(image: Any) -> dict[str, Any]:
        results = model(_as_dtype(tf, image, dtype))
        if not isinstance(results, dict):
            results = dict(zip(names, tf.nest.flatten(results), strict=True))
        return {name: tf.cast(value, tf.float32) for name, value in _clean(results, input_name).items()}

    spec = tf.TensorSpec((None, *image_shape), tf.float32, name=input_name)
    traced = tf.function(call, autograph=False).get_concrete_function(spec)
    frozen = _freeze(tf, traced, input_name, sorted(traced.structured_outputs))
    return Trace(traced, frozen, tuple(map(_spec, frozen.inputs)), tuple(map(_spec, frozen.outputs)))


def identifier(name: str, otherwise: str) -> str:
    """`name` as TensorFlow, ONNX and OpenVINO all take it: letters, digits and underscores."""
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_")
    return cleaned or otherwise


def _clean(named: dict[str, Any], input_name: str) -> dict[str, Any]:
    """Outputs under names that differ from each other and from the input's, in sorted order."""
    clean: dict[str, Any] = {}
    for position, name in enumerate(sorted(named)):
        new = identifier(name, f"output_{position}")
        if new == input_name or new in clean:
            new = f"{new}_output_{position}"
        clean[new] = named[name]
    return dict(sorted(clean.items()))


def _as_dtype(tf: Any, image: Any, dtype: Any) -> Any:
    """`image` as the source takes it; ends of integer types are kept in operations that TFLite has."""
    if dtype.is_integer:
        low, high = dtype.limits
        image = tf.minimum(tf.maximum(tf.round(image), float(max(low, -(2**24)))), float(min(high, 2**24)))
    return tf.cast(image, dtype)


def _freeze(tf: Any, traced: Any, input_name: str, output_names: Sequence[str]) -> Any:
    """Variables become constants, and calls the operations that they call.

    Keras compiles grouped convolutions with XLA, and what is marked so is never inlined: neither
    TFLite nor ONNX could take it. So the marks are dropped from the frozen graph, and it is
    frozen a second time, under the names that every artifact shall have.
    """
    convert = require("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2
    first = convert(traced)
    graph = first.graph.as_graph_def()
    _unmark(graph)

    def imported(image: Any) -> list[Any]:
        results = tf.graph_util.import_graph_def(
            graph,
            input_map={first.inputs[0].name: image},
            return_elements=[tensor.name for tensor in first.outputs],
            name="source",
        )
        return [tf.identity(result, name=name) for name, result in zip(output_names, results, strict=True)]

    shape = first.inputs[0].shape
    wrapped = tf.compat.v1.wrap_function(imported, [tf.TensorSpec(shape, tf.float32, name=input_name)])
    return convert(wrapped, aggressive_inlining=True)


def _unmark(graph: Any) -> None:
    """Drop what keeps functions from being inlined, and give them new names: the old are taken."""
    own = {function.signature.name for function in graph.library.function}
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    for node in (node for body in bodies for node in body):
        node.attr.pop("_XlaMustCompile", None)
        for attr in node.attr.values():
            for func in [attr.func] if attr.HasField("func") else attr.list.func:
                if func.name in own:
                    func.name += "_inlined"
    for function in graph.library.function:
        function.attr.pop("_XlaMustCompile", None)
        function.signature.name += "_inlined"


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.op.name, tuple(tensor.shape.as_list()), tensor.dtype.name)
