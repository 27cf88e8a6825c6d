"""A network prepared for int8, once for all formats.

Read from the top: fold the graph into layers with constant weights, equalize their channels, measure the
activations on calibration images, round the weights. Each format then quantizes the rounded graph with its
own tools, and gets its activation ranges from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgevision.converter import CalibrationData
from edgevision.errors import ConversionError
from edgevision.tensors import Array
from edgevision_keras.graph.trace import Trace
from edgevision_keras.quantization.equalization import equalize
from edgevision_keras.quantization.fingerprints import fingerprint, fingerprints, matching_name
from edgevision_keras.quantization.folded_network import (
    Batch,
    FoldedNetwork,
    Histogram,
    find_origins,
    layer_tensors,
)
from edgevision_keras.quantization.folding import FoldedGraph, Layer, fold
from edgevision_keras.quantization.ranges import best_range
from edgevision_keras.quantization.rounding import Moments, can_round, round_weights, samples_per_image

#: Multiplications that one run over the images may take: large networks are measured on fewer images.
_MOST_MULTIPLICATIONS = 15e9
_FEWEST_IMAGES = 32
#: Numbers that all measured tensors of one batch may contain.
_MOST_NUMBERS = 15_000_000
_LARGEST_BATCH = 32


@dataclass(frozen=True)
class PreparedNetwork:
    """The network that all int8 artifacts of a source start from.

    Attributes:
        folded: the graph with equalized channels, in float.
        rounded: name of a layer -> the layer with its weights on the int8 grid.
        histograms: name of a tensor -> its values, weighted by their effect on the outputs.
        origins: name of a tensor -> name of the tensor in `histograms` whose values it has.
        images: the calibration images that everything was measured on, in batches.
        unrounded: names of the layers whose weights each converter rounds itself.
    """

    folded: FoldedGraph
    rounded: Mapping[str, Layer]
    histograms: Mapping[str, Histogram]
    origins: Mapping[str, str]
    images: Sequence[Batch]
    unrounded: tuple[str, ...]

    def layers(self, keep_float: Collection[str] = ()) -> list[Layer]:
        """The layers with rounded weights, except those in `keep_float`."""
        return [
            layer if layer.name in keep_float else self.rounded.get(layer.name, layer)
            for layer in self.folded.layers
        ]

    def rounded_graph(self, keep_float: Collection[str] = ()) -> FoldedGraph:
        """The graph with rounded weights, except in the layers in `keep_float`.

        Raises:
            ConversionError: there is no such layer.
        """
        known = [layer.name for layer in self.folded.layers]
        for name in keep_float:
            if name not in known:
                raise ConversionError(
                    f"keep_float: layer '{name}' is not in the model (expected one of: {', '.join(known)})"
                )
        return self.folded.with_layers(self.layers(keep_float))

    def range_of(self, tensor: str, *, symmetric: bool = False) -> tuple[float, float]:
        """The (lowest, highest) value of a tensor of `folded` that int8 represents."""
        origin = self.origins[tensor]
        histogram = self.histograms[origin]
        interface = {self.origins[name] for name in (*self.folded.inputs, *self.folded.outputs)}
        if origin in interface:  # pixels and outputs are never clipped
            low, high = histogram.low, histogram.high
            return (-max(-low, high), max(-low, high)) if symmetric else (low, high)
        return best_range(histogram, symmetric=symmetric)

    def probe(self) -> Batch:
        """One image, on which tensors of another format are compared with those of the graph."""
        return {name: values[:1] for name, values in self.images[0].items()}

    def ranges_in(
        self,
        tensors: Mapping[str, Array],
        graph: FoldedGraph,
        *,
        symmetric: bool = False,
        extra_ranges: Mapping[str, tuple[float, float]] | None = None,
    ) -> dict[str, tuple[float, float]]:
        """The ranges for the tensors of a converted file, which has names of its own.

        Args:
            tensors: name in the file -> its values on `probe`.
            graph: the graph that the file was converted from.
            symmetric: from -x to x.
            extra_ranges: the ranges of tensors that are in `graph` and not in `folded`.

        Returns:
            Name in the file -> range, for the tensors that are recognised.
        """
        extra = dict(extra_ranges or {})
        values = next(FoldedNetwork(graph).tensors([*self.origins, *extra], iter([self.probe()])))
        known = fingerprints(values.items())
        matches = {name: matching_name(known, array) for name, array in tensors.items()}
        return {
            name: extra.get(tensor) or self.range_of(tensor, symmetric=symmetric)
            for name, tensor in matches.items()
            if tensor is not None
        }

    def kept_in(self, weights: Mapping[str, Array], keep_float: Collection[str]) -> dict[str, str]:
        """The operations of a converted file that are the layers in `keep_float`, by their weights.

        Args:
            weights: name of an operation in the file -> its weights.
            keep_float: names of layers.

        Returns:
            Name in the file -> name of the layer.

        Raises:
            ConversionError: the file has no operation for one of the layers.
        """
        # Converters multiply a factor before a layer, such as a rescaling's, into its weights.
        known = {
            layer.name: fingerprint(_normalized(layer.weight))
            for layer in self.folded.layers
            if layer.name in keep_float
        }
        matches = {name: matching_name(known, _normalized(values)) for name, values in weights.items()}
        missing = sorted(set(keep_float) - set(matches.values()))
        if missing:
            raise ConversionError(
                f"keep_float: the converted file has no separate operation for layer '{missing[0]}'; "
                "remove it from keep_float"
            )
        return {name: layer for name, layer in matches.items() if layer is not None}


def _normalized(weights: Array) -> Array:
    return weights / max(float(np.abs(weights).max(initial=0.0)), 1e-30)


def prepare(trace: Trace, calibration: CalibrationData) -> PreparedNetwork:
    """Prepare a source for int8 with a calibration set.

    Args:
        trace: the graph of the source.
        calibration: images; as many are used as the size of the network allows.
    """
    folded = fold(trace)
    origins = find_origins(folded)
    measured = sorted(set(origins.values()))
    images = _batches(folded, measured, calibration)
    folded, extremes = equalize(folded, FoldedNetwork(folded).extremes(measured, iter(images)))
    network = FoldedNetwork(folded)
    histograms = network.histograms({name: extremes[name].span for name in measured}, iter(images))
    rounded = _round_layers(folded, network, images)
    unrounded = tuple(layer.name for layer in folded.layers if layer.name not in rounded)
    return PreparedNetwork(folded, rounded, histograms, origins, images, unrounded)


def _round_layers(folded: FoldedGraph, network: FoldedNetwork, images: Sequence[Batch]) -> dict[str, Layer]:
    """Name -> the layer with rounded weights, for the layers where that is possible."""
    random = np.random.default_rng(0)
    count = sum(len(next(iter(batch.values()))) for batch in images)
    moments: dict[str, Moments] = {}
    for tensors in network.tensors(layer_tensors(folded.layers), iter(images)):
        for layer in folded.layers:
            inputs, outputs = tensors[layer.input], tensors[layer.output]
            channels = inputs.shape[-1]
            if can_round(layer, channels):
                sums = moments.setdefault(layer.name, Moments.empty(layer, channels))
                samples = max(1, samples_per_image(count) * len(next(iter(tensors.values()))))
                sums.add(layer, inputs, outputs, samples, random)
    return {
        layer.name: round_weights(layer, moments[layer.name])
        for layer in folded.layers
        if layer.name in moments
    }


def _batches(folded: FoldedGraph, measured: Sequence[str], calibration: CalibrationData) -> list[Batch]:
    """A part of the images, evenly spread, in batches that fit into memory."""
    graph = folded.imported()
    shapes = [graph.get_tensor_by_name(name).shape.as_list() for name in measured]
    numbers = sum(_size(shape[1:]) for shape in shapes)
    outputs = {
        layer.output: graph.get_tensor_by_name(layer.output).shape.as_list() for layer in folded.layers
    }
    multiplications = sum(layer.weight.size * _size(outputs[layer.output][1:-1]) for layer in folded.layers)
    count = len(calibration) if isinstance(calibration, Sized) else sum(1 for _ in calibration)
    affordable = int(_MOST_MULTIPLICATIONS / max(multiplications, 1))
    wanted = min(count, max(_FEWEST_IMAGES, affordable))
    chosen = set(np.linspace(0, count - 1, wanted).round().astype(int).tolist())
    images = (dict(image) for index, image in enumerate(calibration) if index in chosen)
    size = int(np.clip(_MOST_NUMBERS // max(numbers, 1), 1, _LARGEST_BATCH))
    return list(_stacked(images, size))


def _stacked(images: Iterator[Mapping[str, Array]], size: int) -> Iterator[Batch]:
    while batch := list(islice(images, size)):
        yield {name: np.concatenate([image[name] for image in batch]) for name in batch[0]}


def _size(shape: Sequence[int | None]) -> int:
    return int(np.prod([size or 1 for size in shape]))
