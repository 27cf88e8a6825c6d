"""A network prepared for int8, once for all formats.

Read from the top: fold the graph into layers with constant weights, equalize their channels, keep their
scales within what runtimes accept, measure the activations on calibration images, round the weights, choose
the rule that sets the activations' ranges. Each format then quantizes the rounded graph with its own tools,
and gets its activation ranges from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgevision.artifact import FROM_TRAINING, QuantizationRecord
from edgevision.converter import CalibrationData
from edgevision.errors import ConversionError
from edgevision.tensors import Array
from edgevision_keras.graph.trace import Trace
from edgevision_keras.quantization.bounds import bounded, sane_ranges
from edgevision_keras.quantization.equalization import equalize
from edgevision_keras.quantization.fingerprints import (
    fingerprint,
    fingerprints,
    matching_name,
    matching_names,
    zeros_of_size,
)
from edgevision_keras.quantization.folded_network import FoldedNetwork, find_origins
from edgevision_keras.quantization.folding import FoldedGraph, Layer, fold
from edgevision_keras.quantization.histograms import Histogram
from edgevision_keras.quantization.images import Batch, split_batches
from edgevision_keras.quantization.joined_ranges import layers_of_units
from edgevision_keras.quantization.logits import logit_tensors
from edgevision_keras.quantization.pixel_ranges import pixel_ranges
from edgevision_keras.quantization.ranges import RULES, Range, Rule, as_range, with_margin
from edgevision_keras.quantization.rounding import (
    Moments,
    can_round,
    moment_count,
    round_weights,
    samples_per_image,
)
from edgevision_keras.quantization.simulation import SimulatedNetwork

#: Multiplications that one run over the images may take: large networks are measured on fewer images.
_MOST_MULTIPLICATIONS = 15e9
_FEWEST_IMAGES = 32
#: Numbers that all measured tensors of one batch may contain.
_MOST_NUMBERS = 15_000_000
_LARGEST_BATCH = 32
#: Moments of inputs, float32, that are kept at a time. Each further group runs the network once more.
_MOST_MOMENTS = 30_000_000


#: Ratio of two ranges of the same values from which on the wider one is that of a tensor that joins others.
_OF_A_WHOLE = 4.0
#: A rule that is safer than another may have an error larger by this share.
_TIE = 0.05


@dataclass(frozen=True)
class RangeChoice:
    """The ranges of all activations.

    Attributes:
        rule: the rule that gave them; one of `RULES`.
        errors: rule -> mean squared error of the logits on the held-out images, relative to their variance.
        ranges: name of a tensor in `PreparedNetwork.histograms` -> its range.
    """

    rule: str
    errors: Mapping[str, float]
    ranges: Mapping[str, Range]


@dataclass(frozen=True)
class PreparedNetwork:
    """The network that all int8 artifacts of a source start from.

    Attributes:
        folded: the graph with equalized channels, in float.
        rounded: name of a layer -> the layer with its weights on the int8 grid.
        histograms: name of a tensor -> its values, weighted by their effect on the outputs.
        origins: name of a tensor -> name of the tensor in `histograms` whose values it has.
        images: the calibration images that everything was measured on, in batches.
        held_out: other calibration images, on which range rules are compared, in batches.
        logits: names of the tensors before the final activations of the outputs.
        unrounded: names of the layers whose weights each converter rounds itself.
        units: names of the last layers that stay float, because their outputs are numbers of different units.
        trained_ranges: name of a tensor -> the range that the network was trained with, if it was trained for
            int8. Only tensors with a range are in `origins` then, and what has none stays float.
    """

    folded: FoldedGraph
    rounded: Mapping[str, Layer]
    histograms: Mapping[str, Histogram]
    origins: Mapping[str, str]
    images: Sequence[Batch]
    held_out: Sequence[Batch]
    logits: tuple[str, ...]
    unrounded: tuple[str, ...]
    units: tuple[str, ...]
    trained_ranges: Mapping[str, Range] | None = None

    def layers(self, keep_float: Collection[str] = ()) -> list[Layer]:
        """The layers with rounded weights, except those in `keep_float`."""
        return [
            layer if layer.name in keep_float else self.rounded.get(layer.name, layer)
            for layer in self.folded.layers
        ]

    def rounded_graph(self, keep_float: Collection[str] = ()) -> FoldedGraph:
        """The graph with rounded weights, except in the layers in `keep_float` and `units`.

        Raises:
            ConversionError: there is no such layer.
        """
        known = [layer.name for layer in self.folded.layers]
        for name in keep_float:
            if name not in known:
                raise ConversionError(
                    f"keep_float: layer '{name}' is not in the model (expected one of: {', '.join(known)})"
                )
        return self.folded.with_layers(self.layers([*keep_float, *self.units]))

    def integer_graph(self) -> FoldedGraph:
        """The graph with rounded weights in every layer that can have them."""
        return self.folded.with_layers(self.layers())

    def range_of(self, tensor: str, *, symmetric: bool = False) -> Range:
        """The (lowest, highest) value of a tensor of `folded` that int8 represents."""
        return self.range_choice(symmetric=symmetric).ranges[self.origins[tensor]]

    def range_choice(self, *, symmetric: bool = False) -> RangeChoice:
        """The ranges of all activations, from the rule with the least error; computed once.

        Args:
            symmetric: from -x to x.
        """
        if self.trained_ranges is not None:
            ranges = {name: as_range(*ends, symmetric) for name, ends in self.trained_ranges.items()}
            return RangeChoice(FROM_TRAINING, {}, ranges)
        return self._symmetric if symmetric else self._asymmetric

    def record(self, tool: str, *, symmetric: bool = False) -> QuantizationRecord:
        """How an artifact of this network was quantized, for its evidence.

        Args:
            tool: the format's tool with its version.
            symmetric: as for `range_of`.
        """
        choice = self.range_choice(symmetric=symmetric)
        return QuantizationRecord("edgevision", tool, choice.rule, dict(choice.errors))

    @cached_property
    def _asymmetric(self) -> RangeChoice:
        return _choose_ranges(self, symmetric=False)

    @cached_property
    def _symmetric(self) -> RangeChoice:
        return _choose_ranges(self, symmetric=True)

    def probe(self) -> Batch:
        """One image, on which tensors of another format are compared with those of the graph.

        Of the first batch, the one with the most contrast: on a blank image, different tensors are equal.
        """
        batch = self.images[0]
        spreads = [values.reshape(len(values), -1).std(axis=1) for values in batch.values()]
        chosen = int(np.argmax(np.sum([each / max(each.max(), 1e-30) for each in spreads], axis=0)))
        return {name: values[chosen : chosen + 1] for name, values in batch.items()}

    def single_images(self) -> Iterator[Batch]:
        """The images that everything was measured on, one by one."""
        for batch in self.images:
            for index in range(len(next(iter(batch.values())))):
                yield {name: values[index : index + 1] for name, values in batch.items()}

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
        found: dict[str, Range] = {}
        for name, array in tensors.items():
            matches = matching_names(known, array)
            # Tensors of zeros are told apart by nothing but their size: the widest range suits all.
            ranges = [
                extra.get(each) or self.range_of(each, symmetric=symmetric)
                for each in matches or zeros_of_size(known, array)
            ]
            if matches:
                found[name] = _own_range(ranges)
            elif ranges:
                found[name] = min(low for low, _ in ranges), max(high for _, high in ranges)
        return found

    def kept_in(self, weights: Mapping[str, Array], keep_float: Collection[str]) -> dict[str, str]:
        """The operations of a file that are the layers in `keep_float` and `units`, by their weights.

        Args:
            weights: name of an operation in the file -> its weights.
            keep_float: names of layers.

        Returns:
            Name in the file -> name of the layer.

        Raises:
            ConversionError: the file has no operation for one of the layers in `keep_float`.
        """
        # Converters multiply a factor before a layer, such as a rescaling's, into its weights.
        known = {
            layer.name: fingerprint(_normalized(layer.weight))
            for layer in self.folded.layers
            if layer.name in keep_float or layer.name in self.units
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


def _own_range(ranges: Sequence[Range]) -> Range:
    """The range of a tensor, from those of all with its values, the nearest first.

    A part that was cut out of a joined tensor has the range of the whole, which may be many times wider.
    """
    nearest, narrowest = ranges[0], min(ranges, key=_width)
    return narrowest if _width(nearest) > _OF_A_WHOLE * _width(narrowest) else nearest


def _width(range_: Range) -> float:
    return range_[1] - range_[0]


def prepare(trace: Trace, calibration: CalibrationData) -> PreparedNetwork:
    """Prepare a source for int8 with a calibration set.

    Args:
        trace: the graph of the source.
        calibration: images; as many are used as the size of the network allows.
    """
    folded = fold(trace)
    origins = find_origins(folded)
    measured = sorted(set(origins.values()))
    images, held_out = _batches(folded, measured, calibration)
    folded, extremes = equalize(folded, FoldedNetwork(folded).extremes(measured, iter(images)))
    whole_ranges = sane_ranges(folded, extremes)
    folded = bounded(folded, extremes, whole_ranges, origins)
    network = FoldedNetwork(folded)
    logits = tuple(logit_tensors(folded))
    histograms = network.histograms(whole_ranges, logits, iter(images))
    rounded = _round_layers(folded, network, images)
    unrounded = tuple(layer.name for layer in folded.layers if layer.name not in rounded)
    units = layers_of_units(folded, extremes)
    return PreparedNetwork(folded, rounded, histograms, origins, images, held_out, logits, unrounded, units)


def _choose_ranges(prepared: PreparedNetwork, *, symmetric: bool) -> RangeChoice:
    """The ranges by each rule, compared by the logits of the network with int8 weights and activations.

    Agreement on a few images cannot tell rules apart, and misled more often than the error of the logits.
    """
    # Pixels and outputs are never clipped; of the logits, the largest decides, also in other images.
    fixed: dict[str, Rule] = {prepared.origins.get(name, ""): with_margin for name in prepared.logits}
    for name in (*prepared.folded.inputs, *prepared.folded.outputs):
        fixed[prepared.origins.get(name, "")] = RULES["min-max"]
    pixels = pixel_ranges(prepared.folded, list(prepared.histograms), prepared.images, symmetric=symmetric)
    candidates = {
        name: {
            tensor: fixed.get(tensor, rule)(histogram, symmetric)
            for tensor, histogram in prepared.histograms.items()
        }
        | pixels
        for name, rule in RULES.items()
    }
    network = SimulatedNetwork(prepared.integer_graph(), list(prepared.histograms), prepared.logits)
    ends = [name for name in (*prepared.logits, *prepared.folded.outputs) if name in prepared.origins]
    fetched = list(dict.fromkeys([*prepared.logits, *ends]))
    exact = list(FoldedNetwork(prepared.folded).tensors(fetched, iter(prepared.held_out)))
    for name in ends:  # a class may be in a held-out image alone
        low, high = (end([end(values[name]) for values in exact]) for end in (np.min, np.max))
        for ranges in candidates.values():
            ranges[prepared.origins[name]] = _widened(ranges[prepared.origins[name]], low, high, symmetric)
    errors = {name: network.error(ranges, prepared.held_out, exact) for name, ranges in candidates.items()}
    # Without a finite error, such as that of a root of a value that rounds to zero, the safest rule is left.
    finite = {name: error for name, error in errors.items() if np.isfinite(error)}
    limit = min(finite.values(), default=0.0) * (1 + _TIE)
    rule = next((name for name, error in finite.items() if error <= limit), next(iter(candidates)))
    return RangeChoice(rule, finite, candidates[rule])


def _widened(range_: Range, low: float, high: float, symmetric: bool) -> Range:
    """The range with the values from `low` to `high` in it."""
    return as_range(min(range_[0], float(low)), max(range_[1], float(high)), symmetric)


def _round_layers(folded: FoldedGraph, network: FoldedNetwork, images: Sequence[Batch]) -> dict[str, Layer]:
    """Name -> the layer with rounded weights, for the layers where that is possible."""
    random = np.random.default_rng(0)
    count = sum(len(next(iter(batch.values()))) for batch in images)
    rounded: dict[str, Layer] = {}
    for group in _groups_of_layers(folded, network):
        moments: dict[str, Moments] = {}
        for tensors in network.tensors(list({layer.input: None for layer in group}), iter(images)):
            for layer in group:
                inputs = tensors[layer.input]
                samples = max(1, samples_per_image(count) * len(inputs))
                if layer.name in moments:
                    moments[layer.name].add(layer, inputs, samples, random)
                else:
                    moments[layer.name] = Moments.of(layer, inputs, samples, random)
        rounded |= {layer.name: round_weights(layer, moments.pop(layer.name)) for layer in group}
    return rounded


def _groups_of_layers(folded: FoldedGraph, network: FoldedNetwork) -> list[list[Layer]]:
    """The layers that can be rounded, in groups whose moments fit into memory together."""
    groups: list[list[Layer]] = []
    numbers = 0
    for layer in folded.layers:
        channels = network.channels(layer.input)
        if not can_round(layer, channels):
            continue
        own = moment_count(layer, channels)
        if not groups or numbers + own > _MOST_MOMENTS:
            groups.append([])
            numbers = 0
        groups[-1].append(layer)
        numbers += own
    return groups


def _batches(
    folded: FoldedGraph, measured: Sequence[str], calibration: CalibrationData
) -> tuple[list[Batch], list[Batch]]:
    """(fitting, held out): as many images as the network allows, in batches that fit in memory."""
    graph = folded.imported()
    shapes = [graph.get_tensor_by_name(name).shape.as_list() for name in measured]
    numbers = sum(_size(shape[1:]) for shape in shapes)
    outputs = {
        layer.output: graph.get_tensor_by_name(layer.output).shape.as_list() for layer in folded.layers
    }
    multiplications = sum(layer.weight.size * _size(outputs[layer.output][1:-1]) for layer in folded.layers)
    affordable = int(_MOST_MULTIPLICATIONS / max(multiplications, 1))
    size = int(np.clip(_MOST_NUMBERS // max(numbers, 1), 1, _LARGEST_BATCH))
    return split_batches(calibration, max(_FEWEST_IMAGES, affordable), size)


def _size(shape: Sequence[int | None]) -> int:
    return int(np.prod([size or 1 for size in shape]))
