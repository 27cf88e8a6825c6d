"""Rules that choose the range of an activation, from the widest to those that weigh what is clipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.quantization.histograms import Histogram

#: (lowest, highest) value that int8 represents; zero is between them.
Range = tuple[float, float]
#: A function of a histogram, and of whether the range is from -x to x.
Rule = Callable[[Histogram, bool], Range]

#: Shares of the whole range that are tried, from all of it down to a twelfth.
_SHARES = 0.96 ** np.arange(0, 62)
_LEVELS = 255
#: Share of the weight that all values have in common. A rule that believes in gradients alone is blind where
#: the network is sure; with this floor it was never below the plain converter in 19 runs of 9 networks.
_FLOOR = 0.1
#: Share of the measured range that logits may exceed it by on either side. In other images they do; but with
#: an eighth, whose steps are a quarter wider, ResNet-8 agreed on 0.3 percentage points less of CIFAR-10.
_MARGIN = 1 / 32


def _whole(histogram: Histogram, symmetric: bool) -> Range:
    """Minimum to maximum: the rule of TensorFlow's converter and of ONNX Runtime."""
    return as_range(histogram.low, histogram.high, symmetric)


def _mean_of_images(histogram: Histogram, symmetric: bool) -> Range:
    """Mean minimum to mean maximum of the images: the rule of NNCF."""
    if not histogram.image_lows:
        return _whole(histogram, symmetric)
    low, high = float(np.mean(histogram.image_lows)), float(np.mean(histogram.image_highs))
    return as_range(min(low, 0.0), max(high, 0.0), symmetric)


def _by_outputs(histogram: Histogram, symmetric: bool) -> Range:
    """The least error, weighted by its effect on the outputs."""
    return best_range(histogram, _with_floor(histogram, histogram.outputs), symmetric=symmetric)


def _by_logits(histogram: Histogram, symmetric: bool) -> Range:
    """The least error, weighted by its effect on the outputs before their final activation."""
    return best_range(histogram, _with_floor(histogram, histogram.logits), symmetric=symmetric)


def _by_both(histogram: Histogram, symmetric: bool) -> Range:
    """The least error, weighted half by its effect on the outputs, half by that on the logits."""
    weights = _normalized(histogram.outputs) + _normalized(histogram.logits)
    return best_range(histogram, _with_floor(histogram, weights), symmetric=symmetric)


#: The rules that are compared, by name. The safest come first: between rules that are as good as each other,
#: the first is chosen.
RULES: Mapping[str, Rule] = {
    "mixed": _by_both,
    "logit": _by_logits,
    "min-max": _whole,
    "own": _by_outputs,
    "mean-min-max": _mean_of_images,
}


def best_range(histogram: Histogram, weights: Array, *, symmetric: bool = False) -> Range:
    """The range with the least weighted squared error of rounding and clipping.

    Each end is searched for separately, as Banner et al., Post training 4-bit quantization, 2019, search
    for one clipping value, but over the measured values.

    Args:
        histogram: of the tensor.
        weights: (bins,) how much an error of the values in each bin counts.
        symmetric: from -x to x.
    """
    low, high = histogram.low, histogram.high
    if not weights.any():
        return as_range(low, high, symmetric)
    edges = np.linspace(low, high, len(weights) + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    lows, highs = low * _SHARES, high * _SHARES
    if symmetric:
        lows, highs = -max(-low, high) * _SHARES, max(-low, high) * _SHARES
    below = (np.minimum(centres - lows[:, None], 0) ** 2) @ weights
    above = (np.maximum(centres - highs[:, None], 0) ** 2) @ weights
    total = np.concatenate([[0.0], np.cumsum(weights)])
    inside_low, inside_high = (
        total[np.minimum(np.searchsorted(edges, ends), len(weights))] for ends in (lows, highs)
    )
    if symmetric:
        steps = (highs - lows) / (_LEVELS - 1)
        best = int(np.argmin(below + above + (inside_high - inside_low) * steps**2 / 12))
        return float(lows[best]), float(highs[best])
    steps = (highs[None, :] - lows[:, None]) / _LEVELS
    inside = np.maximum(inside_high[None, :] - inside_low[:, None], 0)
    error = below[:, None] + above[None, :] + inside * steps**2 / 12
    at_low, at_high = np.unravel_index(int(np.argmin(error)), error.shape)
    return float(lows[at_low]), float(highs[at_high])


def with_margin(histogram: Histogram, symmetric: bool) -> Range:
    """Minimum to maximum, and `_MARGIN` of that beyond each end that is not zero."""
    low, high = histogram.low, histogram.high
    margin = _MARGIN * (high - low)
    return as_range(low - margin if low < 0 else 0.0, high + margin if high > 0 else 0.0, symmetric)


def _with_floor(histogram: Histogram, weights: Array) -> Array:
    return (1 - _FLOOR) * _normalized(weights) + _FLOOR * _normalized(histogram.counts)


def _normalized(weights: Array) -> Array:
    return weights / max(float(weights.sum()), 1e-300)


def as_range(low: float, high: float, symmetric: bool) -> Range:
    """The range from `low` to `high`, or from -x to x with both in it."""
    return (-max(-low, high), max(-low, high)) if symmetric else (low, high)
