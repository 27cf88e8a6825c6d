"""The range of an activation: the one with the least effect on the outputs, not the widest measured."""

from __future__ import annotations

import numpy as np

from edgevision_keras.quantization.folded_network import Histogram

#: Shares of the whole range that are tried, from all of it down to a twelfth.
_SHARES = 0.96 ** np.arange(0, 62)
_LEVELS = 255


def best_range(histogram: Histogram, *, symmetric: bool = False) -> tuple[float, float]:
    """The range with the least weighted squared error of rounding and clipping.

    Each end is searched for separately, as Banner et al., Post training 4-bit quantization, 2019, search
    for one clipping value, but over the measured values.

    Args:
        histogram: histogram of the tensor.
        symmetric: from -x to x.
    """
    low, high, weights = histogram.low, histogram.high, histogram.weights
    edges = np.linspace(low, high, len(weights) + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    if not weights.any():
        return (-max(-low, high), max(-low, high)) if symmetric else (low, high)
    lows, highs = low * _SHARES, high * _SHARES
    if symmetric:
        lows, highs = -max(-low, high) * _SHARES, max(-low, high) * _SHARES
    below = np.array([(weights * np.minimum(centres - end, 0) ** 2).sum() for end in lows])
    above = np.array([(weights * np.maximum(centres - end, 0) ** 2).sum() for end in highs])
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
