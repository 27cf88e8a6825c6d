"""What batch normalizations remember of the training data, found in a source's frozen graph.

Found in the graph and not in Keras layers, so that every kind of source tells alike: ``.keras``, ``.h5``
and SavedModel directories.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.reading.graphs import depends_on_input, extended, layer_of, numbered_layers
from edgevision_keras.reading.trace import Trace

#: Below it a channel is dead, and its logarithm says nothing.
_LEAST_VARIANCE = 1e-6
_FUSED = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})


@dataclass(frozen=True)
class GraphNorm:
    """A batch normalization of a frozen graph.

    Attributes:
        layer: its layer's name.
        tensor: what it normalizes.
        mean, variance: float32 (channels,): the moving statistics of that tensor in training.
        axes: of `tensor`, over which they were taken.
    """

    layer: str
    tensor: Any
    mean: Array
    variance: Array
    axes: tuple[int, ...]


def find_norms(trace: Trace, layer_names: Collection[str] = ()) -> tuple[GraphNorm, ...]:
    """The batch normalizations of a source with one known number of axes, in the graph's order.

    Args:
        trace: of the source.
        layer_names: names of its layers, where they are known.
    """
    depends = partial(depends_on_input, known={})
    numbered = numbered_layers(trace.frozen.graph, layer_names)
    found = []
    for operation in trace.frozen.graph.get_operations():
        parts = _fused(operation) if operation.type in _FUSED else _composed(operation, depends)
        if parts is not None and parts[0].shape.rank and depends(parts[0]):
            tensor, mean, variance, last = parts
            # Keras 3 puts TensorFlow's own scope into its layer's.
            scope = operation.name.replace("/batchnorm/", "/")
            axes = _axes(tensor.shape.rank, mean.shape, last)
            values = [_constant(one) for one in (mean, variance)]
            if values[0] is not None and values[1] is not None:
                found.append(
                    GraphNorm(layer_of(scope, layer_names, numbered), tensor, values[0], values[1], axes)
                )
    return tuple(found)


class NormStatistics:
    """Statistics at the batch normalizations of a source, of inputs against those of its training.

    Args:
        trace: of the source.
        layer_names: names of its layers, where they are known.

    Attributes:
        trace: of the source.
        norms: its batch normalizations.
    """

    def __init__(self, trace: Trace, layer_names: Collection[str] = ()) -> None:
        self.trace = trace
        self.norms = find_norms(trace, layer_names)

    def distances(self, norms: Sequence[GraphNorm]) -> Any:
        """A differentiable function of the source's inputs.

        Returns:
            The distance at each of `norms`, in nats, and then the source's outputs.
        """

        def add(found: Sequence[Any]) -> list[Any]:
            pairs = zip(found, norms, strict=False)
            return [*(_divergence(tensor, norm) for tensor, norm in pairs), *found[len(norms) :]]

        return extended(self.trace, [*(norm.tensor for norm in norms), *self.trace.frozen.outputs], add)

    def first_distance(self, inputs: Mapping[str, Array]) -> float:
        """As `edgevision.converter.NormalizedSource.norm_distance`."""
        tf = require_tensorflow()
        with tf.device("/CPU:0"):
            distance, *_ = self._first(*(tf.constant(inputs[spec.name]) for spec in self.trace.inputs))
        return float(distance)

    @cached_property
    def _first(self) -> Any:
        return self.distances(self.norms[:1])


def _divergence(tensor: Any, norm: GraphNorm) -> Any:
    """The Kullback-Leibler divergence of two normal distributions, the mean over channels."""
    tf = require_tensorflow()
    mean, variance = tf.nn.moments(tf.cast(tensor, tf.float32), norm.axes)
    kept = norm.variance + _LEAST_VARIANCE
    variance += _LEAST_VARIANCE
    away = tf.square(mean - norm.mean)
    return tf.reduce_mean(0.5 * (tf.math.log(kept / variance) + (variance + away) / kept - 1))


Parts = tuple[Any, Any, Any, bool]


def _fused(operation: Any) -> Parts | None:
    """(normalized tensor, mean, variance, channels last) of Keras 2's operation."""
    if operation.get_attr("is_training"):
        return None
    tensor, _, _, mean, variance = operation.inputs
    return tensor, mean, variance, operation.get_attr("data_format") == b"NHWC"


def _composed(operation: Any, depends: Any) -> Parts | None:
    """The same of what ``tf.nn.batch_normalization`` is made of: Keras 3 calls it.

    ``inverse = rsqrt(variance + epsilon) * scale; x * inverse + (offset - mean * inverse)``
    """
    if operation.type != "Rsqrt" or depends(operation.outputs[0]):
        return None
    variance = _variance(operation.inputs[0].op)
    inverse = operation.outputs[0]
    products = list(_products(inverse))
    if len(products) == 1 and not depends(products[0][1]):  # by scale
        inverse = products[0][0]
        products = list(_products(inverse))
    normalized = [factor for _, factor in products if depends(factor)]
    means = [factor for _, factor in products if not depends(factor)]
    if variance is None or len(normalized) != 1 or len(means) != 1:
        return None
    return normalized[0], means[0], variance, True


def _variance(operation: Any) -> Any | None:
    if operation.type not in ("AddV2", "Add"):
        return None
    larger = [tensor for tensor in operation.inputs if tensor.shape.rank]
    return larger[0] if len(larger) == 1 else None


def _products(tensor: Any) -> Iterator[tuple[Any, Any]]:
    """(product, other factor) of every multiplication by `tensor`."""
    for operation in tensor.consumers():
        if operation.type in ("Identity", "Cast"):
            yield from _products(operation.outputs[0])
        elif operation.type == "Mul":
            first, second = operation.inputs
            yield operation.outputs[0], second if first is tensor else first


def _constant(tensor: Any) -> Array | None:
    """Its numbers, float32, in one row; `None` if they are computed.

    Taken from the graph and not by running it: in a SavedModel, constants wait for the input.
    """
    operation = tensor.op
    while operation.type in ("Identity", "Cast", "Reshape", "ExpandDims"):
        operation = operation.inputs[0].op
    if operation.type != "Const":
        return None
    values = require_tensorflow().make_ndarray(operation.get_attr("value"))
    return np.asarray(values, np.float32).reshape(-1)


def _axes(rank: int, shape: Any, channels_last: bool) -> tuple[int, ...]:
    """Those that the statistics do not have: all but the channels'."""
    sizes = shape.as_list()
    if len(sizes) == rank:
        channel = max(range(rank), key=lambda axis: sizes[axis])
    else:
        channel = rank - 1 if channels_last else 1
    return tuple(axis for axis in range(rank) if axis != channel)
