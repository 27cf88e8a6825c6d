"""Statistics of the training data that batch normalizations store, read from a source's frozen graph.

They are read from the graph and not from Keras layers, so that ``.keras``, ``.h5`` and SavedModel sources
are treated alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.graph.operations import depends_on_input, extended, layer_of, numbered_layers
from edgevision_keras.graph.trace import Trace
from edgevision_keras.libraries import require_tensorflow

#: A channel with less variance is dead, and its logarithm meaningless.
_LEAST_VARIANCE = 1e-6
_FUSED = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})


@dataclass(frozen=True)
class GraphNorm:
    """A batch normalization of a frozen graph.

    Attributes:
        layer: name of its layer.
        tensor: the tensor that it normalizes.
        mean, variance: float32 (channels,): moving statistics of that tensor in training.
        axes: the axes of `tensor` that the statistics average over.
    """

    layer: str
    tensor: Any
    mean: Array
    variance: Array
    axes: tuple[int, ...]


def find_norms(trace: Trace, layer_names: Collection[str] = ()) -> tuple[GraphNorm, ...]:
    """The batch normalizations of a source that normalize a tensor of known rank, in the graph's order.

    Args:
        trace: the graph of the source.
        layer_names: names of its layers; empty if unknown.
    """
    depends = partial(depends_on_input, known={})
    numbered = numbered_layers(trace.frozen.graph, layer_names)
    norms = []
    for operation in trace.frozen.graph.get_operations():
        parts = _fused(operation) if operation.type in _FUSED else _composed(operation, depends)
        if parts is not None and parts[0].shape.rank and depends(parts[0]):
            tensor, mean, variance, last = parts
            # Keras 3 nests a scope of TensorFlow in that of its layer.
            scope = operation.name.replace("/batchnorm/", "/")
            axes = _axes(tensor.shape.rank, mean.shape, last)
            values = [_constant(statistic) for statistic in (mean, variance)]
            if values[0] is not None and values[1] is not None:
                norms.append(
                    GraphNorm(layer_of(scope, layer_names, numbered), tensor, values[0], values[1], axes)
                )
    return tuple(norms)


class NormStatistics:
    """Statistics of inputs at the batch normalizations of a source, compared with those of its training.

    Args:
        trace: the graph of the source.
        layer_names: names of its layers; empty if unknown.

    Attributes:
        trace: the graph of the source.
    """

    def __init__(self, trace: Trace, layer_names: Collection[str] = ()) -> None:
        self.trace = trace
        self._layer_names = layer_names

    @cached_property
    def norms(self) -> tuple[GraphNorm, ...]:
        """The batch normalizations of the source."""
        return find_norms(self.trace, self._layer_names)

    def distances(self, norms: Sequence[GraphNorm]) -> Any:
        """A differentiable function of the source's inputs.

        It returns the distance at each of `norms`, in nats, and then the source's outputs.
        """

        def add(tensors: Sequence[Any]) -> list[Any]:
            pairs = zip(tensors, norms, strict=False)
            return [*(_divergence(tensor, norm) for tensor, norm in pairs), *tensors[len(norms) :]]

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
    stored = norm.variance + _LEAST_VARIANCE
    variance += _LEAST_VARIANCE
    shift = tf.square(mean - norm.mean)
    return tf.reduce_mean(0.5 * (tf.math.log(stored / variance) + (variance + shift) / stored - 1))


Parts = tuple[Any, Any, Any, bool]


def _fused(operation: Any) -> Parts | None:
    """(normalized tensor, mean, variance, channels last) of Keras 2's operation."""
    if operation.get_attr("is_training"):
        return None
    tensor, _, _, mean, variance = operation.inputs
    return tensor, mean, variance, operation.get_attr("data_format") == b"NHWC"


def _composed(operation: Any, depends: Any) -> Parts | None:
    """The same of the operations of ``tf.nn.batch_normalization``, which Keras 3 calls.

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
    """Its values as float32 in one row; `None` if they are not constant.

    They are read from the graph and not by running it: in a SavedModel, constants depend on the input.
    """
    operation = tensor.op
    while operation.type in ("Identity", "Cast", "Reshape", "ExpandDims"):
        operation = operation.inputs[0].op
    if operation.type != "Const":
        return None
    values = require_tensorflow().make_ndarray(operation.get_attr("value"))
    return np.asarray(values, np.float32).reshape(-1)


def _axes(rank: int, shape: Any, channels_last: bool) -> tuple[int, ...]:
    """All axes except that of the channels."""
    sizes = shape.as_list()
    if len(sizes) == rank:
        channel = max(range(rank), key=lambda axis: sizes[axis])
    else:
        channel = rank - 1 if channels_last else 1
    return tuple(axis for axis in range(rank) if axis != channel)
