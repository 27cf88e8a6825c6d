"""Ranges and counts of the activations of a source, computed inside TensorFlow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
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
        tf = require_tensorflow()
        tensors = list(_quantized_tensors(trace))
        self._trace = trace
        numbered = numbered_layers(trace.frozen.graph, layer_names)
        self._layers = [layer_of(tensor.op.name, layer_names, numbered) for tensor in tensors]
        ends = tf.TensorSpec((len(tensors),), tf.float32)
        self._measure = extended(trace, tensors, _measure, ends, ends)

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


def _measure(tensors: Sequence[Any], low: Any, high: Any) -> tuple[Any, Any, Any, Any]:
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
