"""Numbers in arguments and settings: Python's or numpy's scalars, and lists, tuples or arrays of them.

A bool is not a number here: ``max_detections=True`` is a mistake.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from numbers import Integral, Real
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeGuard

from edgevision.errors import OptionError

if TYPE_CHECKING:  # numpy is not imported for those who read settings only
    import numpy as np

    #: A whole number, and any number, for type checkers.
    WholeNumber = int | np.integer[Any]
    RealNumber = float | np.floating[Any] | np.integer[Any]


#: The most numbers of an array among settings, and the deepest nesting of lists: a list may contain itself.
_MOST_NUMBERS = 400_000
_DEEPEST = 32
#: One above the largest whole number that all of JSON's readers, numpy and the runtimes hold.
_END_OF_INTEGERS = 2**63
_SCALARS = frozenset((str, int, float, bool, NoneType))
_OWN = (*_SCALARS, list, tuple)


def plain(value: Any) -> Any:
    """`value` in Python's own types: numpy's scalars as int, float or bool, its arrays as lists.

    Lists, tuples and mappings are converted throughout; anything else is returned as it is. JSON can
    hold the result.

    Raises:
        OptionError: an array lies in a memory-mapped file or has more than 400,000 numbers, or lists are
            nested more than 32 levels deep.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise OptionError(f"lists are nested more than {_DEEPEST} levels deep, or contain themselves")
    if isinstance(value, Mapping):
        return {_plain(key, depth + 1): _plain(item, depth + 1) for key, item in value.items()}
    if type(value) not in _OWN and not isinstance(value, type):
        value = _of_library(value)
    if isinstance(value, (list, tuple)):
        if len(value) > _MOST_NUMBERS:
            raise OptionError(f"expected {_MOST_NUMBERS} numbers at most, got {len(value)}")
        if _SCALARS.issuperset(map(type, value)):
            return list(value) if isinstance(value, list) else tuple(value)
        items = (_plain(item, depth + 1) for item in value)
        return list(items) if isinstance(value, list) else tuple(items)
    if isinstance(value, Real) and not isinstance(value, (int, float)):  # such as numpy's longdouble
        with suppress(OverflowError, ValueError):
            return int(value) if isinstance(value, Integral) else float(value)
    return value


def _of_library(value: Any) -> Any:
    """An array or a scalar, of numpy or of what converts as it does, in Python's own types."""
    if is_memory_mapped(value):
        raise OptionError(
            "expected values in memory, got an array in a mapped file; pass numpy.array(values)"
        )
    try:
        size, convert = getattr(value, "size", 0), getattr(value, "tolist", None)
        if not callable(convert):
            return value
        if isinstance(size, int) and size > _MOST_NUMBERS:
            raise OptionError(f"expected {_MOST_NUMBERS} numbers at most, got an array of {size}")
        return convert()
    except OptionError:
        raise
    except Exception:  # of an object that answers no question; what takes the argument refuses it
        return value


def is_memory_mapped(array: Any) -> bool:
    """Return whether an array lies in a mapped file: reading it kills the process where the file shrinks."""
    numpy = sys.modules.get("numpy")
    while numpy is not None and isinstance(array, numpy.ndarray):
        if isinstance(array, numpy.memmap):
            return True
        array = array.base
    return False


def read_mapped(array: Any) -> Any:
    """A copy in memory of an array in a mapped file; `None` where the file is too short by now."""
    numpy = sys.modules["numpy"]
    mapped, base = None, array
    while isinstance(base, numpy.ndarray):
        if isinstance(base, numpy.memmap):
            mapped = base  # at the end the whole of which `array` is a part
        base = base.base
    if mapped is None:
        return array
    try:
        is_whole = os.stat(mapped.filename).st_size >= mapped.offset + mapped.nbytes  # noqa: PTH116
    except (OSError, TypeError):  # gone, or without a name
        return None
    return numpy.array(array) if is_whole else None


def plain_fields(instance: object, *names: str) -> None:
    """Convert fields of a frozen dataclass as `plain` does, and lists to tuples: for ``__post_init__``."""
    for name in names:
        try:
            value = plain(getattr(instance, name))
        except OptionError as error:
            raise OptionError(f"{name}: {error}") from error
        object.__setattr__(instance, name, tuple(value) if isinstance(value, list) else value)


def is_whole(value: object, least: int = 0) -> TypeGuard[int]:
    """Return whether `value` is a whole number, `least` or above, and below 2**63."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        return False
    return least <= int(value) < _END_OF_INTEGERS


def is_real(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def is_share(value: object) -> TypeGuard[float]:
    """Return whether `value` is a number in 0…1, both included."""
    return is_real(value) and 0 <= value <= 1
