"""Activations of a folded graph: their values, their extremes, and histograms of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require_tensorflow
from edgevision_keras.quantization.folding import FoldedGraph, input_dependent_tensors
from edgevision_keras.quantization.histograms import COUNTED, Histogram
from edgevision_keras.quantization.images import Batch
from edgevision_keras.quantization.sessions import GraphSession

#: Operations whose output has values of their first input and no others, except zeros.
_PASSING = frozenset(
    (
        *("Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose", "StridedSlice"),
        *("Pad", "PadV2", "MirrorPad", "MaxPool", "ResizeNearestNeighbor"),
        *("DepthToSpace", "SpaceToDepth", "SpaceToBatchND", "BatchToSpaceND"),
    )
)


@dataclass
class Extremes:
    """The least and greatest value of each channel: (channels,) float64 each."""

    low: Array
    high: Array

    def grow(self, low: Array, high: Array) -> None:
        """Include the extremes of further images."""
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)

    @property
    def span(self) -> tuple[float, float]:
        """(lowest, highest) of all channels and zero."""
        return min(0.0, float(self.low.min())), max(0.0, float(self.high.max()))


def find_origins(folded: FoldedGraph) -> dict[str, str]:
    """Name of a tensor -> the tensor whose values it has: itself, or one it was reshaped or pooled from.

    Tensors between the weights and the bias of a layer are left out.
    """
    graph = folded.imported()
    dependent = input_dependent_tensors(graph)
    unbiased = {graph.get_operation_by_name(layer.output[:-2]).inputs[0].name for layer in folded.layers}
    origins: dict[str, str] = {}
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            if tensor.name not in dependent or tensor.name in unbiased or tensor.dtype.name != "float32":
                continue
            before = operation.inputs[0].name if operation.type in _PASSING else ""
            origins[tensor.name] = origins.get(before, tensor.name)
    return {name: origin for name, origin in origins.items() if graph.get_tensor_by_name(name).shape.rank}


class FoldedNetwork:
    """A folded graph that runs on batches of images and returns any of its tensors.

    Args:
        folded: the graph.
    """

    def __init__(self, folded: FoldedGraph) -> None:
        self._folded = folded
        self._tf = require_tensorflow()

    @cached_property
    def _graph(self) -> Any:
        return self._folded.imported()

    @cached_property
    def _session(self) -> GraphSession:
        return GraphSession(self._graph)

    def _tensor(self, name: str) -> Any:
        return self._graph.get_tensor_by_name(name)

    def channels(self, name: str) -> int:
        """The size of the last axis of the named tensor."""
        return int(self._tensor(name).shape[-1] or 0)

    def tensors(self, names: Sequence[str], batches: Iterator[Batch]) -> Iterator[dict[str, Array]]:
        """The values of the named tensors, one dict per batch."""
        run = self._runner([self._tensor(name) for name in names])
        for batch in batches:
            yield dict(zip(names, run(batch), strict=True))

    def extremes(self, names: Sequence[str], batches: Iterator[Batch]) -> dict[str, Extremes]:
        """The extremes of the finite values of the named tensors over all batches.

        Infinite values are those of masks, such as an attention's, and of what a selection then drops.
        """
        extremes: dict[str, Extremes] = {}
        for tensors in self.tensors(names, batches):
            for name, values in tensors.items():
                axes = tuple(range(max(values.ndim - 1, 1)))  # of a tensor without channels, over images
                low, high = values.min(axes), values.max(axes)
                if not (np.isfinite(low).all() and np.isfinite(high).all()):
                    finite = np.where(np.isfinite(values), values, 0.0)
                    low, high = finite.min(axes), finite.max(axes)
                low, high = low.astype(np.float64), high.astype(np.float64)
                extremes.setdefault(name, Extremes(low, high)).grow(low, high)
        return extremes

    def histograms(
        self,
        spans: Mapping[str, tuple[float, float]],
        logits: Sequence[str],
        batches: Iterator[Batch],
    ) -> dict[str, Histogram]:
        """The histogram of each tensor in `spans`, between its lowest and highest value.

        The weight of a value is the mean square of the outputs' gradients with respect to it, so errors
        that do no harm, such as those below a rectifier, cost nothing. This is the diagonal of the
        Gauss-Newton matrix, estimated by random projections (Hutchinson 1990), as in Dong et al.,
        HAWQ-V2, 2020.

        Args:
            spans: name of a tensor -> (lowest, highest) value.
            logits: names of the tensors before the final activations of the outputs.
            batches: images.
        """
        tf = self._tf
        names = list(spans)
        results = {name: Histogram(*spans[name]) for name in names}
        inner = [self._tensor(name) for name in names]
        ends = (
            [self._folded.outputs]
            if tuple(logits) == self._folded.outputs
            else [self._folded.outputs, logits]
        )
        with self._graph.as_default():
            projections = [self._projected_gradients(end, inner) for end in ends]
            sizes = [tf.shape(self._tensor(name)) for end in ends for name in end]
        gradients = [each for _, part in projections for each in part if each is not None]
        signs = [sign for placeholders, _ in projections for sign in placeholders]
        shapes = self._runner(sizes)
        run = self._runner([*inner, *gradients], signs)
        random = np.random.default_rng(0)
        for batch in batches:
            drawn = [random.choice([-1.0, 1.0], shape).astype(np.float32) for shape in shapes(batch)]
            fetched = run(batch, drawn)
            rest = iter(fetched[len(names) :])
            weights = [[None if each is None else next(rest) for each in part] for _, part in projections]
            for name, values, own, logit in zip(names, fetched, weights[0], weights[-1], strict=False):
                flat = values.reshape(len(values), -1)
                results[name].add(_sampled(flat), _squares(own), _squares(logit))
                results[name].add_extremes(flat.min(axis=1), flat.max(axis=1))
        return results

    def _projected_gradients(
        self, names: Sequence[str], inner: Sequence[Any]
    ) -> tuple[list[Any], list[Any | None]]:
        """Placeholders of signs for the tensors of `names`, and gradients of the sum with these signs."""
        tf = self._tf
        outputs = [self._tensor(name) for name in names]
        signs = [tf.compat.v1.placeholder(tf.float32, output.shape) for output in outputs]
        scaled = [sign / _spread(tf, output) for sign, output in zip(signs, outputs, strict=True)]
        try:
            gradients = tf.gradients(outputs, inner, grad_ys=scaled)
            # Those of a lookup hold only the rows that were looked up.
            return signs, [None if each is None else tf.convert_to_tensor(each) for each in gradients]
        except (LookupError, ValueError, TypeError):  # no gradient: all values have equal weight
            return signs, [None] * len(inner)

    def _runner(self, fetched: Sequence[Any], signs: Sequence[Any] = ()) -> Callable[..., list[Array]]:
        """A function of a batch and of values for `signs`, that computes the tensors in `fetched`."""
        names = [name.removesuffix(":0") for name in self._folded.inputs]
        weights = self._folded.weights
        fed = [*map(self._tensor, (*self._folded.inputs, *weights)), *signs]
        run = self._session.function(fetched, fed)

        def of_batch(batch: Batch, values: Sequence[Array] = ()) -> list[Array]:
            return run(*(batch[name] for name in names), *weights.values(), *values)

        return of_batch


def _spread(tf: Any, output: Any) -> Any:
    """The divisor of an output, so that outputs of large or many numbers do not outweigh the others."""
    count = tf.cast(tf.size(output[:1]), tf.float32)
    return (tf.math.reduce_std(output) + 1e-12) * tf.sqrt(count)


def _sampled(flat: Array) -> Array:
    """Evenly spread values of each image, of (images, numbers)."""
    step = flat.shape[1] // COUNTED | 1  # odd, so that every channel is sampled
    return flat[:, ::step]


def _squares(gradient: Array | None) -> Array | None:
    return None if gradient is None else _sampled(gradient.reshape(len(gradient), -1)).astype(np.float64) ** 2
