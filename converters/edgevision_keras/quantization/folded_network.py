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
    def _function(self) -> Any:
        tf, graph = self._tf, self._folded.imported()
        shapes = [graph.get_tensor_by_name(name).shape for name in self._folded.inputs]
        return tf.compat.v1.wrap_function(
            self._import, [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        )

    def _import(self, *images: Any) -> Sequence[Any]:
        self._tf.graph_util.import_graph_def(
            self._folded.definition,
            input_map=dict(zip(self._folded.inputs, images, strict=True)),
            name="network",
        )
        return images

    def _tensor(self, name: str) -> Any:
        if name in self._folded.inputs:
            return self._function.inputs[self._folded.inputs.index(name)]
        return self._function.graph.get_tensor_by_name(f"network/{name}")

    def channels(self, name: str) -> int:
        """The size of the last axis of the named tensor."""
        return int(self._tensor(name).shape[-1] or 0)

    def tensors(self, names: Sequence[str], batches: Iterator[Batch]) -> Iterator[dict[str, Array]]:
        """The values of the named tensors, one dict per batch."""
        run = self._pruned([self._tensor(name) for name in names])
        for batch in batches:
            yield dict(zip(names, (value.numpy() for value in run(*self._feed(batch))), strict=True))

    def extremes(self, names: Sequence[str], batches: Sequence[Batch]) -> dict[str, Extremes]:
        """The extremes of the finite values of the named tensors over all batches.

        Infinite values are those of masks, such as an attention's, and of what a selection then drops.
        """
        extremes = self._extremes(names, batches, lambda tensor: tensor)
        infinite = [name for name, each in extremes.items() if not np.isfinite([each.low, each.high]).all()]
        tf = self._tf
        finite = self._extremes(
            infinite, batches, lambda tensor: tf.where(tf.math.is_finite(tensor), tensor, 0.0)
        )
        return extremes | finite

    def _extremes(
        self, names: Sequence[str], batches: Sequence[Batch], values_of: Callable[[Any], Any]
    ) -> dict[str, Extremes]:
        if not names:
            return {}
        tf = self._tf
        with self._function.graph.as_default():
            fetched = []
            for name in names:
                tensor = values_of(self._tensor(name))
                axes = list(range(max(tensor.shape.rank - 1, 1)))  # of a tensor without channels, over images
                fetched += [tf.reduce_min(tensor, axes), tf.reduce_max(tensor, axes)]
        run = self._pruned(fetched)
        extremes: dict[str, Extremes] = {}
        for batch in batches:
            values = [value.numpy().astype(np.float64) for value in run(*self._feed(batch))]
            for name, low, high in zip(names, values[::2], values[1::2], strict=True):
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
        with self._function.graph.as_default():
            values = [_sampled(tf, tensor) for tensor in inner]
            extremes = [end for tensor in inner for end in _extremes_of_images(tf, tensor)]
            projections = [self._projected_gradients(end, inner) for end in ends]
            gradients = [each for _, part in projections for each in part if each is not None]
            known = [_sampled(tf, gradient) for gradient in gradients]
            sizes = [tf.shape(self._tensor(name)) for end in ends for name in end]
        signs = [sign for placeholders, _ in projections for sign in placeholders]
        shapes = self._pruned(sizes)
        run = self._pruned([*values, *extremes, *known], signs)
        random = np.random.default_rng(0)
        for batch in batches:
            feed = self._feed(batch)
            drawn = [
                tf.constant(random.choice([-1.0, 1.0], shape.numpy()), tf.float32) for shape in shapes(*feed)
            ]
            fetched = [value.numpy() for value in run(*feed, *drawn)]
            rest = iter(fetched[3 * len(names) :])
            weights = [
                [None if each is None else next(rest).astype(np.float64) ** 2 for each in part]
                for _, part in projections
            ]
            for index, name in enumerate(names):
                own, logit = weights[0][index], weights[-1][index]
                results[name].add(fetched[index], own, logit)
                results[name].add_extremes(*fetched[len(names) + 2 * index : len(names) + 2 * index + 2])
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
            return signs, list(tf.gradients(outputs, inner, grad_ys=scaled))
        except (LookupError, ValueError, TypeError):  # no gradient: all values have equal weight
            return signs, [None] * len(inner)

    def _pruned(self, fetched: Sequence[Any], signs: Sequence[Any] = ()) -> Any:
        """A function of the inputs, then of `signs`, that computes the tensors in `fetched`."""
        arguments = [*self._function.inputs, *signs]
        specs = tuple(self._tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in arguments)
        # Without a signature each call first fails inside, with all numbers of its arguments in the message.
        return self._function.prune(arguments, fetched, input_signature=(specs, {}))

    def _feed(self, batch: Batch) -> list[Any]:
        names = [name.removesuffix(":0") for name in self._folded.inputs]
        return [self._tf.constant(batch[name], self._tf.float32) for name in names]


def _spread(tf: Any, output: Any) -> Any:
    """The divisor of an output, so that outputs of large or many numbers do not outweigh the others."""
    count = tf.cast(tf.size(output[:1]), tf.float32)
    return (tf.math.reduce_std(output) + 1e-12) * tf.sqrt(count)


def _sampled(tf: Any, tensor: Any) -> Any:
    """(images, numbers): evenly spread values of each image."""
    flat = tf.reshape(tensor, [tf.shape(tensor)[0], -1])
    step = tf.bitwise.bitwise_or(tf.shape(flat)[1] // COUNTED, 1)  # odd, so that every channel is sampled
    return flat[:, ::step]


def _extremes_of_images(tf: Any, tensor: Any) -> tuple[Any, Any]:
    """The smallest and the largest value of each image, (images,) each."""
    axes = list(range(1, tensor.shape.rank))
    return tf.reduce_min(tensor, axes), tf.reduce_max(tensor, axes)
