"""Which range an activation gets: the one that costs the answers least, not the widest seen."""

from __future__ import annotations

import numpy as np

from edgevision_keras.quantization.folded_network import Histogram

#: Parts of the whole range that are tried, from all of it down to a twelfth.
_PARTS = 0.96 ** np.arange(0, 62)
_LEVELS = 255


def best_range(histogram: Histogram, *, symmetric: bool = False) -> tuple[float, float]:
    """The range whose weighed squared error, of rounding and of clipping, is least.

    Both ends are searched for by themselves, as in the search for one clipping value by
    Banner et al., Post training 4-bit quantization, 2019, but over what was seen.

    Args:
        histogram: of the tensor.
        symmetric: from -x to x.
    """
    low, high, weights = histogram.low, histogram.high, histogram.weights
    edges = np.linspace(low, high, len(weights) + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    if not weights.any():
        return (-max(-low, high), max(-low, high)) if symmetric else (low, high)
    lows, highs = low * _PARTS, high * _PARTS
    if symmetric:
        lows, highs = -max(-low, high) * _PARTS, max(-low, high) * _PARTS
    below = np.array([(weights * np.minimum(centres - end, 0) ** 2).sum() for end in lows])
    above = np.array([(weights * np.maximum(centres - end, 0) ** 2).sum() for end in highs])
    total = np.concatenate([[0.0], np.cumsum(weights)])
    inside_low, inside_high = (
        total[np.minimum(np.searchsorted(edges, ends), len(weights))] for ends in (lows, highs)
    )
    if symmetric:
        steps = (highs - lows) / (_LEVELS - 1)
        place = int(np.argmin(below + above + (inside_high - inside_low) * steps**2 / 12))
        return float(lows[place]), float(highs[place])
    steps = (highs[None, :] - lows[:, None]) / _LEVELS
    inside = np.maximum(inside_high[None, :] - inside_low[:, None], 0)
    error = below[:, None] + above[None, :] + inside * steps**2 / 12
    at_low, at_high = np.unravel_index(int(np.argmin(error)), error.shape)
    return float(lows[at_low]), float(highs[at_high])
