"""Normalization of arguments: paths, sequences of names or paths, and whole numbers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from edgevision.errors import OptionError
from edgevision.system.numeric import is_real, plain

KindT = TypeVar("KindT")

#: Reasons for which a path leads nowhere; every other reason makes `Path.is_dir` raise an OSError.
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP})


def one_path(value: str | os.PathLike[str], argument: str) -> Path:
    """The path, whether something is there or not; `Path.exists` and its like do not raise on it.

    Raises:
        OptionError: `value` is not a path, empty, or one that the system refuses, such as a path too long.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise OptionError(f"{argument}: expected a str or Path, got {value!r:.80}")
    if not text:
        raise OptionError(f"{argument}: expected a path, got an empty string; for this folder pass '.'")
    path = Path(text)
    try:
        path.stat()
    except OSError as error:
        if error.errno not in _NOTHING_THERE:
            raise OptionError(f"{argument}: {text!r:.80} cannot be a path: {error.strerror}") from error
    except ValueError as error:  # a NUL, or a character that no file name can have
        raise OptionError(f"{argument}: {text!r:.80} cannot be a path: {error}") from error
    return path


def instance(value: Any, kind: type[KindT], argument: str) -> KindT:
    """`value`, if it is of a class that the caller builds.

    Raises:
        OptionError: it is something else, such as a dictionary of the same fields.
    """
    if not isinstance(value, kind):
        raise OptionError(f"{argument}: expected an object of class {kind.__name__}, got {value!r:.80}")
    return value


def optional_path(value: str | os.PathLike[str] | None, argument: str) -> Path | None:
    """The path, or `None` for `None`.

    Raises:
        OptionError: as `one_path`.
    """
    return None if value is None else one_path(value, argument)


def names(values: Iterable[str], argument: str) -> tuple[str, ...]:
    """A tuple of names, from a list, tuple or array of them.

    Raises:
        OptionError: `values` is one string, or holds something else than strings.
    """
    if isinstance(values, (str, bytes)):
        raise OptionError(f"{argument}: expected a sequence of names, got {values!r}; pass [{values!r}]")
    items = sequence(values, argument, "names")
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
    items = sequence(values, argument, "paths")
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            raise OptionError(f"{argument}: expected a sequence of paths, got {item!r} in it")
    return tuple(one_path(item, argument) for item in items)


def whole_number(value: Any, argument: str, least: int | None = None) -> int:
    """A Python integer, from one of Python's or of numpy's.

    Args:
        value: the argument.
        argument: its name, for errors.
        least: the smallest that is allowed; `None` allows all.

    Raises:
        OptionError: it is not a whole number, or below `least`.
    """
    number = plain(value)
    is_number = isinstance(number, int) and not isinstance(number, bool)
    if not is_number or (least is not None and number < least):
        expected = "a whole number" if least is None else f"a whole number, {least} or more"
        raise OptionError(f"{argument}: expected {expected}, got {number!r:.200}")
    return int(number)


def whole_numbers(values: Iterable[Any], argument: str, least: int) -> list[int]:
    """A list of Python integers, from a list, tuple or array of whole numbers.

    Raises:
        OptionError: `values` is one value, or holds something else than such numbers.
    """
    if isinstance(values, (str, bytes, bytearray, memoryview)):
        raise OptionError(f"{argument}: expected a sequence of whole numbers, got {values!r:.80}")
    return [whole_number(value, argument, least) for value in sequence(values, argument, "whole numbers")]


def flag(value: Any, argument: str) -> bool:
    """True or False, from one of Python's or of numpy's.

    Raises:
        OptionError: it is something else: the text ``"no"`` would count as True.
    """
    value = plain(value)
    if not isinstance(value, bool):
        raise OptionError(f"{argument}: expected True or False, got {value!r:.80}")
    return value


def real_number(value: Any, argument: str, finite: bool = True) -> float:
    """A Python float, from an integer or float of Python's or of numpy's.

    Raises:
        OptionError: it is not a number, or not finite where it has to be.
    """
    number = plain(value)
    if not is_real(number) and (finite or not isinstance(number, float)):
        raise OptionError(f"{argument}: expected a number, got {number!r:.200}")
    return float(number)


def sequence(values: Iterable[Any], argument: str, kind: str) -> list[Any]:
    """The items of a list, tuple, array or other iterable.

    Raises:
        OptionError: `values` is one value.
    """
    try:
        return list(values)
    except TypeError as error:
        raise OptionError(f"{argument}: expected a sequence of {kind}, got {values!r}") from error
