"""Numbers in arguments and settings: Python's or numpy's scalars, and lists, tuples or arrays of them.

A bool is not a number here: ``max_detections=True`` is a mistake.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:  # numpy is not imported for those who read settings only
    import numpy as np

    #: A whole number, and any number, for type checkers.
    WholeNumber = int | np.integer[Any]
    RealNumber = float | np.floating[Any] | np.integer[Any]


def plain(value: Any) -> Any:
    """`value` in Python's own types: numpy's scalars as int, float or bool, its arrays as lists.

    Lists, tuples and mappings are converted throughout; anything else is returned as it is. JSON can
    hold the result.
    """
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    convert = getattr(value, "tolist", None)
    if callable(convert):
        value = convert()
    if isinstance(value, (list, tuple)):
        items = (plain(item) for item in value)
        return list(items) if isinstance(value, list) else tuple(items)
    if isinstance(value, Real) and not isinstance(value, (int, float)):  # such as numpy's longdouble
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def plain_fields(instance: object, *names: str) -> None:
    """Convert fields of a frozen dataclass as `plain` does, and lists to tuples: for ``__post_init__``."""
    for name in names:
        value = plain(getattr(instance, name))
        object.__setattr__(instance, name, tuple(value) if isinstance(value, list) else value)


def is_whole(value: object, least: int = 0) -> TypeGuard[int]:
    """Return whether `value` is a whole number, `least` or above."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_real(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_share(value: object) -> TypeGuard[float]:
    """Return whether `value` is a number in 0…1, both included."""
    return is_real(value) and 0 <= value <= 1
