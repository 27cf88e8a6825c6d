"""Scales within what runtimes accept, before any file is written.

A layer multiplies its int32 sums by input scale * weight scale / output scale. XNNPACK refuses 256 and more,
and LiteRT then aborts the process; TFLite drops what lies below 2**-31. Such factors come from channels that
are constant on the calibration images, from variances of nearly zero, and from weights that are zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.quantization.folded_network import Extremes
from edgevision_keras.quantization.folding import FoldedGraph, Layer
from edgevision_keras.quantization.ranges import Range

#: The largest and the smallest factor, for ranges from minimum to maximum. Rules narrow ranges to a twelfth.
_LARGEST_FACTOR, _SMALLEST_FACTOR = 16.0, 2.0**-20
#: The largest bias, in units of input scale times weight scale: it is an int32.
_LARGEST_BIAS = 2.0**28
_LEVELS, _LARGEST_WEIGHT = 255, 127
#: A rectifier that no calibration image passes still gets this share of the range before it.
_RECTIFIED_SHARE = 1 / 256
#: A range narrower than this is that of a tensor without values; it becomes 0 to 1.
_NARROWEST = 1e-20


def sane_ranges(folded: FoldedGraph, extremes: Mapping[str, Extremes]) -> dict[str, Range]:
    """Name of a tensor -> (lowest, highest) value of its channels and zero; never empty.

    Args:
        folded: a graph.
        extremes: name of a tensor -> the extremes of its channels.
    """
    ranges = {name: each.span for name, each in extremes.items()}
    for name, rectified in _rectified(folded).items():
        if name in ranges and rectified in ranges:
            low, high = ranges[rectified]
            ranges[rectified] = low, max(high, max(-ranges[name][0], ranges[name][1]) * _RECTIFIED_SHARE)
    return {name: ends if ends[1] - ends[0] > _NARROWEST else (0.0, 1.0) for name, ends in ranges.items()}


def bounded(
    folded: FoldedGraph,
    extremes: Mapping[str, Extremes],
    ranges: Mapping[str, Range],
    origins: Mapping[str, str],
) -> FoldedGraph:
    """The graph with weights and biases whose int8 scales all runtimes accept.

    Args:
        folded: the graph.
        extremes: name of a tensor -> the extremes of its channels.
        ranges: name of a tensor -> its range; see `sane_ranges`.
        origins: name of a tensor -> name of the tensor in `ranges` with its values.
    """
    steps = {name: (high - low) / _LEVELS for name, (low, high) in ranges.items()}
    rectified = _rectified(folded)
    layers = [
        _bounded(
            layer,
            steps[origins[layer.input]],
            min(steps[layer.output], steps.get(rectified.get(layer.output, ""), np.inf)),
            extremes[layer.output],
        )
        for layer in folded.layers
    ]
    same = all(new is old for new, old in zip(layers, folded.layers, strict=True))
    return folded if same else folded.with_layers(layers)


def _bounded(layer: Layer, input_step: float, output_step: float, extremes: Extremes) -> Layer:
    largest = np.abs(layer.matrix).max(axis=0).astype(np.float64)
    factor = input_step * largest / _LARGEST_WEIGHT / output_step
    # Where this is more than 1, a rounded input moves the output by more than a step.
    noise = factor * _LARGEST_WEIGHT / 2
    too_large_bias = np.abs(layer.bias) > _LARGEST_BIAS * input_step * largest / _LARGEST_WEIGHT
    constant = extremes.high - extremes.low < output_step / 2
    silent = (largest == 0) | constant & ((noise > 1) | (factor < _SMALLEST_FACTOR) | too_large_bias)
    steep = ~silent & (factor > _LARGEST_FACTOR)
    if not silent.any() and not steep.any():
        return layer
    middle = (extremes.low + extremes.high) / 2
    # A sum of a few steps leaves the range of a steep output either way.
    share = np.where(steep, _LARGEST_FACTOR / np.where(steep, factor, 1.0), 1.0)
    scaled = layer.with_outputs_scaled(share, middle * (1 - share))
    return _without_inputs(scaled, silent, middle, input_step, output_step) if silent.any() else scaled


def _without_inputs(
    layer: Layer, silent: Array, values: Array, input_step: float, output_step: float
) -> Layer:
    """The layer with constant outputs in the channels in `silent`.

    One weight of each is not zero, and has no effect: runtimes divide by the largest.
    """
    matrix = layer.matrix.copy()
    matrix[:, silent] = 0.0
    scale = np.maximum(_SMALLEST_FACTOR * output_step, np.abs(values) / _LARGEST_BIAS) / input_step
    matrix[0, silent] = _LARGEST_WEIGHT * scale[silent]
    bias = np.where(silent, values, layer.bias).astype(np.float32)
    return replace(layer, weight=matrix.reshape(layer.weight.shape).astype(np.float32), bias=bias)


def _rectified(folded: FoldedGraph) -> dict[str, str]:
    """Name of the output of a layer -> name of the tensor behind the rectifier that alone reads it."""
    graph = folded.imported()
    found: dict[str, str] = {}
    for layer in folded.layers:
        readers: list[Any] = graph.get_tensor_by_name(layer.output).consumers()
        if len(readers) == 1 and readers[0].type in ("Relu", "Relu6"):
            found[layer.output] = readers[0].outputs[0].name
    return found
