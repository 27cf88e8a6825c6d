"""Significance tests for the difference of two models on the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.metrics.intervals import Samples

_FLIPS = 10_000
#: Up to this number of images, all sign flips are enumerated.
_ALL_FLIPS_UP_TO = 13
_BLOCK_NUMBERS = 4_000_000


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """The p-value of McNemar's exact test, two-sided (McNemar 1947): bool ``(n,)`` hits on the same n images.

    Only images that one of the two hits count; under the null hypothesis each is a fair coin flip.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    trials = only_first + only_second
    term = total = 1
    for number in range(min(only_first, only_second)):
        term = term * (trials - number) // (number + 1)
        total += term
    return min(1.0, 2 * total / 2**trials) if trials else 1.0


def sign_flip(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The p-value of the paired permutation test of two means, two-sided (Fisher 1935).

    For few images all sign flips are enumerated, otherwise 10,000 seeded ones are drawn, with the
    observation counted as one of them (Phipson and Smyth 2010).

    Args:
        first, second: one value per image ``(n,)``, on the same n images.
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    differences = differences[differences != 0]
    count = len(differences)
    if count == 0:
        return 1.0
    least = abs(float(differences.sum())) * (1 - 1e-12)
    if count <= _ALL_FLIPS_UP_TO:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float((np.abs(signs @ differences) >= least).mean())
    random, as_large = np.random.default_rng(count), 0
    size = max(1, _BLOCK_NUMBERS // count)
    for start in range(0, _FLIPS, size):
        signs = random.integers(0, 2, (min(size, _FLIPS - start), count), np.int8) * np.int8(2) - np.int8(1)
        as_large += int((np.abs(signs @ differences) >= least).sum())
    return (as_large + 1) / (_FLIPS + 1)


def paired_bootstrap(first: Samples, second: Samples) -> float:
    """The p-value of the difference of two metrics, two-sided (Efron and Tibshirani 1993, chapter 15).

    Args:
        first, second: values of the two on the same resamples ``(n,)``; NaN is left out.
    """
    differences = first - second
    differences = differences[~np.isnan(differences)]
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(differences) + 1))
