"""Tensors of one network found again in another format's file, by the numbers that they hold.

Names do not survive: converters fuse operations, rename and transpose. Sizes, extremes and means do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from edgevision.tensors import Array

Found = TypeVar("Found")

#: How far apart the numbers of one tensor may be in two runtimes, as a part of its greatest.
_TOLERANCE = 1e-3

#: (size, least, greatest, mean, root mean square)
Fingerprint = tuple[int, float, float, float, float]


def fingerprint(values: Array) -> Fingerprint:
    """What is the same whatever the order of the axes."""
    exact = np.asarray(values, np.float64)
    mean_square = float(np.mean(exact**2))
    return exact.size, float(exact.min()), float(exact.max()), float(exact.mean()), mean_square**0.5


def find(known: Mapping[str, Fingerprint], values: Array) -> str | None:
    """The name of the tensor in `known` that holds `values`; `None` if there is none, or all is zero."""
    if not values.size:
        return None
    wanted = fingerprint(values)
    greatest = max(abs(wanted[1]), abs(wanted[2]))
    nearest = min(
        ((_distance(wanted, other), name) for name, other in known.items() if other[0] == wanted[0]),
        default=(np.inf, ""),
    )
    return nearest[1] if greatest and nearest[0] <= _TOLERANCE * greatest else None


def fingerprints(tensors: Iterable[tuple[str, Array]]) -> dict[str, Fingerprint]:
    """Of each."""
    return {name: fingerprint(values) for name, values in tensors if values.size}


def _distance(one: Fingerprint, other: Fingerprint) -> float:
    return float(np.max(np.abs(np.subtract(one[1:], other[1:]))))
