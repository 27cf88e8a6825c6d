"""A source made ready for int8, once for all formats: weights rounded, channels evened, ranges chosen."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgevision.converter import CalibrationData
from edgevision.errors import ConversionError
from edgevision.tensors import Array
from edgevision_keras.quantization.equalization import equalize
from edgevision_keras.quantization.fingerprints import find, fingerprint, fingerprints
from edgevision_keras.quantization.folded_network import (
    Batch,
    Histogram,
    Network,
    find_points,
    layer_tensors,
)
from edgevision_keras.quantization.folding import Folded, Layer, fold
from edgevision_keras.quantization.ranges import best_range
from edgevision_keras.quantization.rounding import Moments, can_round, places_an_image, rounded
from edgevision_keras.source import KerasSource

_LOG = logging.getLogger(__name__)
#: Multiplications that one run over the images may take: large networks see fewer images.
_MOST_MULTIPLICATIONS = 15e9
_FEWEST_IMAGES = 32
#: Numbers that a batch of images may have in all tensors.
_MOST_NUMBERS = 15_000_000
_LARGEST_BATCH = 32


@dataclass(frozen=True)
class Int8Source:
    """What every int8 artifact of a source is made from.

    Attributes:
        folded: the network, its channels evened out, in float.
        rounded: layer's name -> the layer with weights on the grid of int8.
        histograms: of activations, weighed by what they do to the answers.
        points: tensor -> the one in `histograms` whose values it holds.
        images: a part of the calibration images, that all was measured on.
        left_alone: names of layers whose weights the converters round.
    """

    folded: Folded
    rounded: Mapping[str, Layer]
    histograms: Mapping[str, Histogram]
    points: Mapping[str, str]
    images: Sequence[Batch]
    left_alone: tuple[str, ...]

    def layers(self, keep_float: Collection[str] = ()) -> list[Layer]:
        """The layers as an artifact holds them."""
        return [
            layer if layer.name in keep_float else self.rounded.get(layer.name, layer)
            for layer in self.folded.layers
        ]

    def network(self, keep_float: Collection[str] = ()) -> Folded:
        """The network with rounded weights, but for the layers in `keep_float`.

        Raises:
            ConversionError: there is no such layer.
        """
        known = [layer.name for layer in self.folded.layers]
        for name in keep_float:
            if name not in known:
                raise ConversionError(
                    f"keep_float: there is no layer '{name}' to keep in float; expected: {', '.join(known)}"
                )
        return self.folded.with_layers(self.layers(keep_float))

    def range_of(self, tensor: str, *, symmetric: bool = False) -> tuple[float, float]:
        """(lowest, highest) of a tensor of `folded`, as int8 holds it."""
        histogram = self.histograms[self.points[tensor]]
        ends = {self.points[name] for name in (*self.folded.inputs, *self.folded.outputs)}
        if self.points[tensor] in ends:  # what a camera gives and what a caller reads is never clipped
            low, high = histogram.low, histogram.high
            return (-max(-low, high), max(-low, high)) if symmetric else (low, high)
        return best_range(histogram, symmetric=symmetric)

    def probe(self) -> Batch:
        """One image, to compare tensors of other formats on."""
        return {name: values[:1] for name, values in self.images[0].items()}

    def ranges_in(
        self,
        tensors: Mapping[str, Array],
        network: Folded,
        *,
        symmetric: bool = False,
        others: Mapping[str, tuple[float, float]] | None = None,
    ) -> dict[str, tuple[float, float]]:
        """The ranges of another format's tensors.

        Args:
            tensors: name there -> its values on `probe`.
            network: what the other format was made from.
            symmetric: from -x to x.
            others: the ranges of tensors that only `network` has.
        """
        ranges = dict(others or {})
        names = [*self.points, *ranges]
        values = next(Network(network).tensors(names, iter([self.probe()])))
        known = fingerprints(values.items())
        found = {name: find(known, held) for name, held in tensors.items()}
        return {
            name: ranges.get(tensor) or self.range_of(tensor, symmetric=symmetric)
            for name, tensor in found.items()
            if tensor is not None
        }

    def kept_in(self, weights: Mapping[str, Array], keep_float: Collection[str]) -> dict[str, str]:
        """Which operations of another format are the layers in `keep_float`, by their weights.

        Args:
            weights: name of an operation there -> its weights.
            keep_float: names of layers.

        Returns:
            name there -> name of the layer.

        Raises:
            ConversionError: one of the layers is not there.
        """
        # Converters put a factor before a layer, as a rescaling's, into its weights.
        known = {
            layer.name: fingerprint(_unscaled(layer.weight))
            for layer in self.folded.layers
            if layer.name in keep_float
        }
        found = {name: find(known, _unscaled(values)) for name, values in weights.items()}
        missing = sorted(set(keep_float) - set(found.values()))
        if missing:
            raise ConversionError(
                f"keep_float: '{missing[0]}' is not found in the converted file; leave it in int8"
            )
        return {name: layer for name, layer in found.items() if layer is not None}


def _unscaled(weights: Array) -> Array:
    return weights / max(float(np.abs(weights).max(initial=0.0)), 1e-30)


def int8_source(source: KerasSource, calibration: CalibrationData) -> Int8Source:
    """What int8 artifacts of a source are made from; made once for a calibration set."""
    if source.int8 is None or source.int8[0] is not calibration:
        source.int8 = (calibration, _prepare(source, calibration))
    made: Int8Source = source.int8[1]
    return made


def _prepare(source: KerasSource, calibration: CalibrationData) -> Int8Source:
    folded = fold(source.trace)
    points = find_points(folded)
    names = sorted(set(points.values()))
    images = _batches(folded, names, calibration)
    folded, extremes = equalize(folded, Network(folded).extremes(names, iter(images)))
    network = Network(folded)
    histograms = network.histograms({name: extremes[name].span for name in names}, iter(images))
    layers = _rounded(folded, network, images)
    left = tuple(layer.name for layer in folded.layers if layer.name not in layers)
    if left:
        _LOG.info("%s: weights that the converters round themselves: %s", source.path, ", ".join(left))
    return Int8Source(folded, layers, histograms, points, images, left)


def _rounded(folded: Folded, network: Network, images: Sequence[Batch]) -> dict[str, Layer]:
    random = np.random.default_rng(0)
    count = sum(len(next(iter(batch.values()))) for batch in images)
    moments: dict[str, Moments] = {}
    for tensors in network.tensors(layer_tensors(folded.layers), iter(images)):
        for layer in folded.layers:
            given, made = tensors[layer.input], tensors[layer.output]
            if can_round(layer, given.shape[-1]):
                sums = moments.setdefault(layer.name, Moments.of(layer, given.shape[-1]))
                most = max(1, places_an_image(count) * len(next(iter(tensors.values()))))
                sums.add(layer, given, made, most, random)
    return {
        layer.name: rounded(layer, moments[layer.name]) for layer in folded.layers if layer.name in moments
    }


def _batches(folded: Folded, names: Sequence[str], calibration: CalibrationData) -> list[Batch]:
    """A part of the images, evenly spread, in batches that memory can take."""
    graph = folded.imported()
    shapes = [graph.get_tensor_by_name(name).shape.as_list() for name in names]
    numbers = sum(_size(shape[1:]) for shape in shapes)
    places = {layer.output: graph.get_tensor_by_name(layer.output).shape.as_list() for layer in folded.layers}
    multiplications = sum(layer.weight.size * _size(places[layer.output][1:-1]) for layer in folded.layers)
    count = len(calibration) if isinstance(calibration, Sized) else sum(1 for _ in calibration)
    wanted = min(count, max(_FEWEST_IMAGES, int(_MOST_MULTIPLICATIONS / max(multiplications, 1))))
    chosen = set(np.linspace(0, count - 1, wanted).round().astype(int).tolist())
    images = (dict(image) for place, image in enumerate(calibration) if place in chosen)
    size = int(np.clip(_MOST_NUMBERS // max(numbers, 1), 1, _LARGEST_BATCH))
    return list(_stacked(images, size))


def _stacked(images: Iterator[Mapping[str, Array]], size: int) -> Iterator[Batch]:
    while batch := list(islice(images, size)):
        yield {name: np.concatenate([image[name] for image in batch]) for name in batch[0]}


def _size(shape: Sequence[int | None]) -> int:
    return int(np.prod([size or 1 for size in shape]))
