"""The map, from masks and the scores that the network gave under them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats

#: A variance below which a pixel was never shown in one mask and hidden in another.
_NEVER_CHANGED = 1e-9


class Moments:
    """Sums over masks, for a map of the difference that each pixel makes.

    RISE (Petsiuk et al. 2018) is the mean of the masks, weighted by the scores. This is its regression form:
    the covariance of mask and score over the variance of the mask, for each pixel, which does not depend
    on the scores' own level and has less variance.

    Args:
        size_hw: height and width of the masks.
        usual: a score, such as that of the whole image: others are added as their distance from it, so that
            one that never changes leaves no rounding errors to make a map of.
    """

    def __init__(self, size_hw: tuple[int, int], usual: float = 0.0) -> None:
        self._usual = usual
        self._count = 0
        self._score = 0.0
        self._mask = np.zeros(size_hw)
        self._mask_squared = np.zeros(size_hw)
        self._product = np.zeros(size_hw)

    def add(self, mask: Floats, score: float) -> None:
        """Add one mask, and the score under it."""
        distance = score - self._usual
        self._count += 1
        self._score += distance
        self._mask += mask
        self._mask_squared += np.square(mask)
        self._product += mask * np.float32(distance)

    def __add__(self, other: Moments) -> Moments:
        both = Moments(self._mask.shape, self._usual)
        for name in ("_count", "_score", "_mask", "_mask_squared", "_product"):
            setattr(both, name, getattr(self, name) + getattr(other, name))
        return both

    def map(self) -> NDArray[np.float64]:
        """The change of the score from hidden to shown, by pixel; 0 where a pixel never changed."""
        count = max(1, self._count)
        mean = self._mask / count
        covariance = self._product / count - mean * (self._score / count)
        variance = self._mask_squared / count - np.square(mean)
        known = variance > _NEVER_CHANGED
        return np.divide(covariance, variance, out=np.zeros_like(mean), where=known)


def split_half_reliability(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The estimated correlation of the mean of two maps with a map of unlimited budget, 0…1.

    The two are of separate masks. Their correlation r gives that of their mean with itself drawn again,
    2r / (1 + r) (Spearman 1910, Brown 1910), and its root is the correlation with what both estimate.

    Returns:
        0 if a map is constant, or the two do not agree at all.
    """
    deviations = one - one.mean(), other - other.mean()
    norms = [float(np.sqrt(np.square(each).sum())) for each in deviations]
    if min(norms) <= 0:
        return 0.0
    correlation = float((deviations[0] * deviations[1]).sum()) / (norms[0] * norms[1])
    return float(np.sqrt(max(0.0, 2 * correlation / (1 + correlation)))) if correlation > -1 else 0.0
