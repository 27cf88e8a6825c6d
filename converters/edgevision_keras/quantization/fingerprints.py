"""Tensors of a network recognised in a converted file by their values.

Names do not survive a conversion: converters fuse operations, rename and transpose. Sizes, extremes and
means do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from edgevision.tensors import Array

#: Allowed difference of one tensor in two runtimes, relative to its largest value.
_TOLERANCE = 1e-3
#: Difference in distance of tensors with the same values, such as a part that is joined and cut out again.
_SAME = 1e-7

#: (size, least, greatest, mean, root mean square)
Fingerprint = tuple[int, float, float, float, float]


def fingerprint(values: Array) -> Fingerprint:
    """Statistics of a tensor's finite values that do not depend on the order of its axes."""
    with np.errstate(invalid="ignore"):  # memory that a runtime never wrote may contain any bits
        exact = np.asarray(values, np.float64)
    exact = np.where(np.isfinite(exact), exact, 0.0)
    mean_square = float(np.mean(exact**2))
    return exact.size, float(exact.min()), float(exact.max()), float(exact.mean()), mean_square**0.5


def matching_name(known: Mapping[str, Fingerprint], values: Array) -> str | None:
    """The name of the tensor in `known` with these values; `None` if there is none, or all are zero."""
    return next(iter(matching_names(known, values)), None)


def matching_names(known: Mapping[str, Fingerprint], values: Array) -> list[str]:
    """The names of the tensors in `known` with these values, the nearest first; none if all are zero."""
    if not values.size:
        return []
    wanted = fingerprint(values)
    greatest = max(abs(wanted[1]), abs(wanted[2]))
    distances = {name: _distance(wanted, other) for name, other in known.items() if other[0] == wanted[0]}
    nearest = min(distances.values(), default=np.inf)
    if not greatest or nearest > _TOLERANCE * greatest:
        return []
    by_distance = sorted((distance, name) for name, distance in distances.items())
    return [name for distance, name in by_distance if distance <= nearest + _SAME * greatest]


def zeros_of_size(known: Mapping[str, Fingerprint], values: Array) -> list[str]:
    """The names of the tensors in `known` that are all zero and as large, if `values` are all zero."""
    if not values.size or values.any():
        return []
    return [name for name, other in known.items() if other[0] == values.size and not any(other[1:])]


def fingerprints(tensors: Iterable[tuple[str, Array]]) -> dict[str, Fingerprint]:
    """Name -> fingerprint, without empty tensors."""
    return {name: fingerprint(values) for name, values in tensors if values.size}


def _distance(first: Fingerprint, second: Fingerprint) -> float:
    return float(np.max(np.abs(np.subtract(first[1:], second[1:]))))
