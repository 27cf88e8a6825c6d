"""McNemar's test of two models on the same images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
