"""Normalization of arguments: paths, sequences of names or paths, and whole numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edgevision.errors import OptionError
from edgevision.system.numeric import is_real, is_whole, plain


def optional_path(value: str | Path | None) -> Path | None:
    """The path, or `None` for `None`."""
    return None if value is None else Path(value)


def names(values: Iterable[str], argument: str) -> tuple[str, ...]:
    """A tuple of names, from a list, tuple or array of them.

    Raises:
        OptionError: `values` is one string, or holds something else than strings.
    """
    if isinstance(values, (str, bytes)):
        raise OptionError(f"{argument}: expected a sequence of names, got {values!r}; pass [{values!r}]")
    items = _items(values, argument, "names")
    for item in items:
        if not isinstance(item, str):
            raise OptionError(f"{argument}: expected a sequence of names, got {item!r} in it")
    return tuple(str(item) for item in items)


def paths(values: Iterable[str | Path], argument: str) -> tuple[Path, ...]:
    """A tuple of paths, from a list, tuple or array of them.

    Raises:
        OptionError: `values` is one path, or holds something else than paths.
    """
    if isinstance(values, (str, bytes, os.PathLike)):
        given = str(values)
        raise OptionError(f"{argument}: expected a sequence of paths, got {given!r}; pass [{given!r}]")
    items = _items(values, argument, "paths")
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            raise OptionError(f"{argument}: expected a sequence of paths, got {item!r} in it")
    return tuple(map(Path, items))


def whole_number(value: Any, argument: str, least: int) -> int:
    """A Python integer, from one of Python's or of numpy's.

    Raises:
        OptionError: it is not a whole number, or below `least`.
    """
    value = plain(value)
    if not is_whole(value, least):
        raise OptionError(f"{argument}: expected a whole number, {least} or more, got {value!r}")
    return int(value)


def real_number(value: Any, argument: str) -> float:
    """A Python float, from an integer or float of Python's or of numpy's.

    Raises:
        OptionError: it is not a number, or not finite.
    """
    value = plain(value)
    if not is_real(value):
        raise OptionError(f"{argument}: expected a number, got {value!r}")
    return float(value)


def _items(values: Iterable[Any], argument: str, kind: str) -> list[Any]:
    try:
        return list(values)
    except TypeError as error:
        raise OptionError(f"{argument}: expected a sequence of {kind}, got {values!r}") from error
