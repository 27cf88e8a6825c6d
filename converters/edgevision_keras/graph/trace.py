"""A model traced once and frozen once: the graph that all of its artifacts start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.tensors import TensorSpec
from edgevision_keras.graph.equivalents import with_volumes_in_groups
from edgevision_keras.graph.fake_quantization import without_fake_quantization
from edgevision_keras.graph.float32 import to_float32
from edgevision_keras.graph.freezing import concrete_function, frozen_definition
from edgevision_keras.graph.open_batch import is_open, open_batch
from edgevision_keras.graph.rewrites import rewritten
from edgevision_keras.libraries import require, require_tensorflow


@dataclass(frozen=True)
class ModelInput:
    """An input of the model itself.

    Attributes:
        name: its name in the model.
        shape: shape of one example.
        dtype: TensorFlow's dtype, to which float32 is cast.
        reshaped: shape of one example in the model, to which it is reshaped; `None` if it is `shape`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    reshaped: tuple[int, ...] | None = None

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The shape of one example in the model."""
        return self.shape if self.reshaped is None else self.reshaped


@dataclass(frozen=True)
class Trace:
    """A source as TensorFlow functions.

    Attributes:
        call: the source itself: float32 tensors in, a dict of float32 tensors out. Its frozen graph, if the
            model computes in other float types or for a fixed batch only.
        frozen: the same as a graph of constants, without functions; its outputs are in the
            order of `outputs`.
        inputs, outputs: specs with the names of the graph's tensors; inputs in the model's order.
        traced: the model as it was traced, with variables.
        rebuilt_from: other float types that the model computes in, such as ``float16``; `frozen` and `call`
            compute in float32.
        trained_for_int8: True if the model rounds activations to ranges that its training has set; `frozen`
            has marks in their place, and rounded weights: see `edgevision_keras.graph.fake_quantization`.
    """

    call: Callable[..., dict[str, Any]]
    frozen: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    traced: Any
    rebuilt_from: frozenset[str] = frozenset()
    trained_for_int8: bool = False


class FixedBatchError(Exception):
    """The graph of a model for a fixed batch gives other answers, or none, for another batch.

    Args:
        batch: the batch.
    """

    def __init__(self, batch: int) -> None:
        super().__init__(f"the graph works for a batch of {batch} only")
        self.batch = batch


def trace(
    model: Callable[[Mapping[str, Any]], Any],
    inputs: Sequence[ModelInput],
    names: Sequence[str],
    batch: int | None = None,
) -> Trace:
    """Trace a model and freeze its graph.

    Args:
        model: a function of name -> tensor (batch, …), in the order of `inputs`; returns a dict of
            tensors, or a nest of as many as `names`.
        inputs: its inputs.
        names: names of its outputs, where it does not return a dict.
        batch: the only batch that the model can be called with; `None` for any.

    Raises:
        FixedBatchError: the graph cannot be rewritten for any batch.
        RangesNotSetError: the model is made for training for int8, and was not trained yet.
    """
    tf = require_tensorflow()
    own = _input_names(inputs)

    def call(*tensors: Any) -> dict[str, Any]:
        pairs = zip(inputs, tensors, strict=True)
        results = model({each.name: _as_expected(tf, value, each) for each, value in pairs})
        named = _clean(_flat(tf, results, names), own)
        return {name: tf.cast(value, tf.float32) for name, value in named.items()}

    def specs(size: int | None) -> list[Any]:
        pairs = zip(inputs, own, strict=True)
        return [tf.TensorSpec((size, *each.shape), tf.float32, name=name) for each, name in pairs]

    traced = tf.function(call, autograph=False).get_concrete_function(*specs(batch))
    definition, given, returned = frozen_definition(traced)
    trained_for_int8 = without_fake_quantization(definition)
    rebuilt_from = to_float32(definition)
    if batch is not None:
        open_batch(definition, batch, given)
    outputs = {name: traced.structured_outputs[name].shape for name in sorted(traced.structured_outputs)}
    frozen = with_volumes_in_groups(
        rewritten(concrete_function(definition, given, returned, specs(None), outputs))
    )
    if batch is not None and not is_open(traced, frozen, batch, specs(batch)):
        raise FixedBatchError(batch)
    return Trace(
        call=traced if batch is None and not rebuilt_from else _named(frozen, list(outputs)),
        frozen=frozen,
        inputs=tuple(map(_spec, frozen.inputs)),
        outputs=tuple(map(_spec, frozen.outputs)),
        traced=traced,
        rebuilt_from=rebuilt_from,
        trained_for_int8=trained_for_int8,
    )


def _named(function: Any, names: Sequence[str]) -> Callable[..., dict[str, Any]]:
    return lambda *tensors: dict(zip(names, function(*tensors), strict=True))


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


def _flat(tf: Any, results: Any, names: Sequence[str]) -> dict[str, Any]:
    """The outputs by name; those of a nest of dicts have the names of their places."""
    flat = tf.nest.flatten(results)
    if not isinstance(results, Mapping) and len(flat) == len(names):
        return dict(zip(names, flat, strict=True))
    paths = require("tensorflow.python.util.nest").flatten_with_joined_string_paths(results)
    return dict(paths)


def _clean(named: dict[str, Any], input_names: Sequence[str]) -> dict[str, Any]:
    """The outputs, sorted, with names that differ from each other and from those of the inputs."""
    clean: dict[str, Any] = {}
    for position, name in enumerate(sorted(named)):
        new = identifier(name, f"output_{position}")
        if new in input_names or new in clean:
            new = f"{new}_output_{position}"
        clean[new] = named[name]
    return dict(sorted(clean.items()))


def _as_expected(tf: Any, tensor: Any, given: ModelInput) -> Any:
    """`tensor` in the dtype and the shape of the model."""
    if given.reshaped is not None:
        tensor = tf.reshape(tensor, (-1, *given.reshaped))
    return _as_dtype(tf, tensor, given.dtype)


def _as_dtype(tf: Any, tensor: Any, dtype: Any) -> Any:
    """`tensor` in the dtype of the model, clipped to integer types with operations that TFLite has."""
    if dtype.is_integer:
        low, high = dtype.min, dtype.max  # not `limits`, whose lower one is never negative
        tensor = tf.minimum(tf.maximum(tf.round(tensor), float(max(low, -(2**24)))), float(min(high, 2**24)))
    return tf.cast(tensor, dtype)


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.op.name, tuple(tensor.shape.as_list()), tensor.dtype.name)
