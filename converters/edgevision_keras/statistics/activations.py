"""Ranges and counts of the activations of a source, computed inside TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from edgevision.converter import Activations
from edgevision.tensors import Array
from edgevision_keras.graph.operations import depends_on_input, extended, layer_of, numbered_layers
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

#: Operations that a quantized graph fuses with the one before: the tensor in between is never quantized.
_AFFINE = frozenset({"BiasAdd", "AddV2", "Add", "Sub", "Mul", "RealDiv"})
_FUSED = frozenset({"Relu", "Relu6", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
#: Operations whose outputs are values of their inputs, or have a range that needs no calibration.
_PASSING = frozenset(
    (
        *("Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Pad", "StopGradient", "Cast"),
        *("Placeholder", "Softmax", "Sigmoid", "Tanh"),
    )
)


class ActivationMeter:
    """Measures every tensor that a quantized artifact stores as integers.

    Args:
        trace: the graph of the source.
        layer_names: names of its layers; empty if unknown.
    """

    def __init__(self, trace: Trace, layer_names: Collection[str]) -> None:
        self._trace = trace
        self._layer_names = layer_names

    def __call__(
        self, inputs: Mapping[str, Array], limits: Sequence[tuple[float, float]]
    ) -> tuple[Activations, ...]:
        """As `edgevision.converter.ActivationSource.activations`."""
        tf = require_tensorflow()
        ends = np.array(limits or [(-np.inf, np.inf)] * len(self._layers), np.float32)
        with tf.device("/CPU:0"):
            arrays = [tf.constant(inputs[spec.name]) for spec in self._trace.inputs]
            results = self._measure(*arrays, *(tf.constant(column) for column in ends.reshape(-1, 2).T))
        columns = [column.numpy().tolist() for column in results]
        return tuple(map(Activations, self._layers, *columns))

    @cached_property
    def _tensors(self) -> list[Any]:
        return list(_quantized_tensors(self._trace))

    @cached_property
    def _layers(self) -> list[str]:
        numbered = numbered_layers(self._trace.frozen.graph, self._layer_names)
        return [layer_of(tensor.op.name, self._layer_names, numbered) for tensor in self._tensors]

    @cached_property
    def _measure(self) -> Any:
        tf = require_tensorflow()
        limits = tf.TensorSpec((len(self._tensors),), tf.float32)
        return extended(self._trace, self._tensors, _ranges_and_counts, limits, limits)


def _quantized_tensors(trace: Trace) -> Iterator[Any]:
    tf = require_tensorflow()
    depends = partial(depends_on_input, known={})
    for operation in trace.frozen.graph.get_operations():
        if operation.type in _PASSING or not operation.outputs or operation.outputs[0].dtype != tf.float32:
            continue
        tensor = operation.outputs[0]
        if depends(tensor) and not _is_fused(tensor, depends):
            yield tensor


def _is_fused(tensor: Any, depends: Any) -> bool:
    """Return whether its only consumer is fused with the operation that computes it."""
    consumers = tensor.consumers()
    if len(consumers) != 1:
        return False
    (consumer,) = consumers
    others = [other for other in consumer.inputs if other is not tensor]
    return consumer.type in _FUSED or (consumer.type in _AFFINE and not any(map(depends, others)))


def _ranges_and_counts(tensors: Sequence[Any], low: Any, high: Any) -> tuple[Any, Any, Any, Any]:
    tf = require_tensorflow()
    outside = [
        tf.math.count_nonzero((tensor < low[index]) | (tensor > high[index]))
        for index, tensor in enumerate(tensors)
    ]
    return (
        tf.stack([tf.reduce_min(tensor) for tensor in tensors]),
        tf.stack([tf.reduce_max(tensor) for tensor in tensors]),
        tf.stack(outside),
        tf.stack([tf.size(tensor, tf.int64) for tensor in tensors]),
    )
