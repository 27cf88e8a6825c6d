"""How often the values of an activation occur, and how much they affect the outputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgevision.tensors import Array

#: Values of one tensor that are counted per image; larger tensors are sampled.
COUNTED = 16_384
_BINS = 2048


def _empty() -> Array:
    return np.zeros(_BINS)


@dataclass
class Histogram:
    """The values of one tensor over all images, without exact zeros, which int8 represents exactly.

    Attributes:
        low, high: the edges: the smallest and the largest value, and zero.
        counts: (bins,) how often the values occur.
        outputs: (bins,) the same, each value weighted by its effect on the outputs.
        logits: (bins,) the same, by its effect on the outputs before their final activation.
        image_lows, image_highs: the smallest and the largest value of each image.
    """

    low: float
    high: float
    counts: Array = field(default_factory=_empty)
    outputs: Array = field(default_factory=_empty)
    logits: Array = field(default_factory=_empty)
    image_lows: list[float] = field(default_factory=list)
    image_highs: list[float] = field(default_factory=list)

    def add(self, values: Array, outputs: Array | None = None, logits: Array | None = None) -> None:
        """Count values.

        Args:
            values: of any shape.
            outputs, logits: weights of that shape, 0 or more; `None` for equal ones.
        """
        flat = values.ravel().astype(np.float64)
        flat = np.where(np.isfinite(flat), flat, 0.0)  # of masks; zeros are not counted
        bins = ((flat - self.low) / max(self.high - self.low, 1e-30) * _BINS).astype(np.int64)
        bins = np.clip(bins, 0, _BINS - 1)
        nonzero = (flat != 0).astype(np.float64)
        self.counts += np.bincount(bins, nonzero, _BINS)
        self.outputs += np.bincount(bins, nonzero if outputs is None else nonzero * _finite(outputs), _BINS)
        self.logits += np.bincount(bins, nonzero if logits is None else nonzero * _finite(logits), _BINS)

    def add_extremes(self, lows: Array, highs: Array) -> None:
        """Note the smallest and the largest value of each image: (images,) each."""
        self.image_lows += np.clip(np.nan_to_num(lows), self.low, self.high).tolist()
        self.image_highs += np.clip(np.nan_to_num(highs), self.low, self.high).tolist()


def _finite(weights: Array) -> Array:
    """Weights without those of operations that have no finite gradient, such as a root of zero."""
    return np.nan_to_num(weights.ravel().astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
