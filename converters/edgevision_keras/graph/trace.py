"""A model traced once and frozen once: the graph that all of its artifacts start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.tensors import TensorSpec
from edgevision_keras.graph.rewrites import rewritten
from edgevision_keras.libraries import require, require_tensorflow


@dataclass(frozen=True)
class ModelInput:
    """An input of the model itself.

    Attributes:
        name: its name in the model.
        shape: shape of one example.
        dtype: TensorFlow's dtype, to which float32 is cast.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True)
class Trace:
    """A source as TensorFlow functions.

    Attributes:
        call: the source itself: float32 tensors by name in, a dict of float32 tensors out.
        frozen: the same as a graph of constants, without functions; its outputs are in the
            order of `outputs`.
        inputs, outputs: specs with the names of the graph's tensors; inputs in the model's order.
    """

    call: Any
    frozen: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def trace(
    model: Callable[[Mapping[str, Any]], Any], inputs: Sequence[ModelInput], names: Sequence[str]
) -> Trace:
    """Trace a model and freeze its graph.

    Args:
        model: a function of name -> tensor (batch, …), in the order of `inputs`; returns a dict of
            tensors, or a nest of as many as `names`.
        inputs: its inputs.
        names: names of its outputs, where it does not return a dict.
    """
    tf = require_tensorflow()
    own = _input_names(inputs)

    def call(*tensors: Any) -> dict[str, Any]:
        pairs = zip(inputs, tensors, strict=True)
        results = model({each.name: _as_dtype(tf, value, each.dtype) for each, value in pairs})
        if not isinstance(results, dict):
            results = dict(zip(names, tf.nest.flatten(results), strict=True))
        return {name: tf.cast(value, tf.float32) for name, value in _clean(results, own).items()}

    shapes = [(None, *each.shape) for each in inputs]
    specs = [tf.TensorSpec(shape, tf.float32, name=name) for shape, name in zip(shapes, own, strict=True)]
    traced = tf.function(call, autograph=False).get_concrete_function(*specs)
    frozen = _freeze(tf, traced, specs, sorted(traced.structured_outputs))
    return Trace(traced, frozen, tuple(map(_spec, frozen.inputs)), tuple(map(_spec, frozen.outputs)))


def identifier(name: str, otherwise: str) -> str:
    """`name` in the form that TensorFlow, ONNX and OpenVINO all accept: letters, digits and underscores."""
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_")
    return cleaned or otherwise


def _input_names(inputs: Sequence[ModelInput]) -> list[str]:
    """Distinct names of the inputs that all formats accept."""
    names: list[str] = []
    for position, each in enumerate(inputs):
        otherwise = "input" if len(inputs) == 1 else f"input_{position}"
        name = identifier(each.name, otherwise)
        names.append(f"{name}_{position}" if name in names else name)
    return names


def _clean(named: dict[str, Any], input_names: Sequence[str]) -> dict[str, Any]:
    """The outputs, sorted, with names that differ from each other and from those of the inputs."""
    clean: dict[str, Any] = {}
    for position, name in enumerate(sorted(named)):
        new = identifier(name, f"output_{position}")
        if new in input_names or new in clean:
            new = f"{new}_output_{position}"
        clean[new] = named[name]
    return dict(sorted(clean.items()))


def _as_dtype(tf: Any, tensor: Any, dtype: Any) -> Any:
    """`tensor` in the dtype of the model, clipped to integer types with operations that TFLite has."""
    if dtype.is_integer:
        low, high = dtype.min, dtype.max  # not `limits`, whose lower one is never negative
        tensor = tf.minimum(tf.maximum(tf.round(tensor), float(max(low, -(2**24)))), float(min(high, 2**24)))
    return tf.cast(tensor, dtype)


def _freeze(tf: Any, traced: Any, specs: Sequence[Any], output_names: Sequence[str]) -> Any:
    """A graph with constants instead of variables, and with all function calls inlined.

    Keras marks grouped convolutions for compilation with XLA, and functions with that mark are never
    inlined: neither TFLite nor ONNX could convert them. So the marks are removed from the frozen graph,
    and it is frozen a second time, with the tensor names of the artifacts.
    """
    convert = require("tensorflow.python.framework.convert_to_constants").convert_variables_to_constants_v2
    first = convert(traced)
    graph = first.graph.as_graph_def()
    _unmark(graph)

    def imported(*tensors: Any) -> list[Any]:
        results = tf.graph_util.import_graph_def(
            graph,
            input_map={old.name: new for old, new in zip(first.inputs, tensors, strict=True)},
            return_elements=[tensor.name for tensor in first.outputs],
            name="source",
        )
        return [tf.identity(result, name=name) for name, result in zip(output_names, results, strict=True)]

    wrapped = tf.compat.v1.wrap_function(imported, list(specs))
    return rewritten(convert(wrapped, aggressive_inlining=True))


def _unmark(graph: Any) -> None:
    """Remove the marks that prevent inlining, and rename the functions, whose old names are in use."""
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
