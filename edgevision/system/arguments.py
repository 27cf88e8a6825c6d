"""Parse arguments where they come in: one error, which names the argument, what was expected, and what came.

Every function takes any object at all: one whose own methods raise, that never ends, or whose text takes
megabytes. What is returned has Python's own types.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from edgevision.errors import OptionError
from edgevision.system.credentials import is_address, without_credentials
from edgevision.system.numeric import is_memory_mapped, is_real, plain
from edgevision.system.shown import shown

KindT = TypeVar("KindT")
CallableT = TypeVar("CallableT", bound=Callable[..., Any] | None)

#: Reasons for which a path leads nowhere; every other reason makes `Path.is_dir` raise an OSError.
_NOTHING_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP})
_DAY_S = 86_400
#: The most items of a sequence: what yields for ever would fill the memory.
MOST_ITEMS = 1_000_000
#: The most numbers of an array: one that repeats another's memory may have any size.
MOST_NUMBERS = 2**31
#: Whole numbers beyond these fit no runtime, no array and no JSON reader.
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**63 - 1


def one_path(value: str | os.PathLike[str], argument: str) -> Path:
    """The path, whether something is there or not; `Path.exists` and its like do not raise on it.

    Raises:
        OptionError: `value` is not a path, empty, an address, or one that the system refuses, such as a path
            that is too long.
    """
    text = path_text(value)
    if text is None:
        raise OptionError(f"{argument}: expected a str or Path, got {shown(value)}")
    if not text:
        raise OptionError(f"{argument}: expected a path, got an empty string; for this folder pass '.'")
    path = Path(text)
    try:
        path.stat()
    except OSError as error:
        if error.errno not in _NOTHING_THERE:
            raise OptionError(f"{argument}: {shown(text)} cannot be a path: {error.strerror}") from error
        if address := address_instead(text):
            raise OptionError(f"{argument}: {address}") from None
    except ValueError as error:  # a NUL, or a character that no file name can have
        raise OptionError(f"{argument}: {shown(text)} cannot be a path: {error}") from error
    return path


def address_instead(text: str) -> str:
    """An error's text where an address stands in the place of a path; else empty."""
    if not is_address(text):
        return ""
    return (
        f"expected a path, got the address {without_credentials(text)} (edgevision stream MODEL ADDRESS runs "
        "on the frames of one)"
    )


def instance(value: Any, kind: type[KindT], argument: str) -> KindT:
    """`value`, if it is of a class that the caller builds.

    Raises:
        OptionError: it is something else, such as a dictionary of the same fields.
    """
    if not isinstance(value, kind):
        raise OptionError(f"{argument}: expected an object of class {kind.__name__}, got {shown(value)}")
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
        raise OptionError(
            f"{argument}: expected a sequence of names, got {shown(values)}; pass [{shown(values)}]"
        )
    items = sequence(values, argument, "names")
    for item in items:
        if not isinstance(item, str):
            raise OptionError(f"{argument}: expected a sequence of names, got {shown(item)} in it")
    return tuple(str(item) for item in items)


def paths(values: Iterable[str | Path], argument: str) -> tuple[Path, ...]:
    """A tuple of paths, from a list, tuple or array of them.

    Raises:
        OptionError: `values` is one path, or holds something else than paths.
    """
    if isinstance(values, (str, bytes, os.PathLike)):
        given = shown(path_text(values) or values)
        raise OptionError(f"{argument}: expected a sequence of paths, got {given}; pass [{given}]")
    items = sequence(values, argument, "paths")
    for item in items:
        if not isinstance(item, (str, os.PathLike)):
            raise OptionError(f"{argument}: expected a sequence of paths, got {shown(item)} in it")
    return tuple(one_path(item, argument) for item in items)


def whole_number(value: Any, argument: str, least: int | None = None, most: int = _MOST_INTEGER) -> int:
    """A Python integer of 64 bits, from one of Python's or of numpy's.

    Args:
        value: the argument.
        argument: its name, for errors.
        least: the smallest that is allowed; `None` allows all.
        most: the largest that is allowed.

    Raises:
        OptionError: it is not a whole number, or outside of these.
    """
    number = _plain_value(value, argument)
    lowest = _LEAST_INTEGER if least is None else least
    if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= most:
        expected = "a whole number" if least is None else f"a whole number, {least} or more"
        if most != _MOST_INTEGER:
            expected = f"a whole number, {lowest} to {most}"
        raise OptionError(f"{argument}: expected {expected}, got {shown(number)}")
    return int(number)


def whole_numbers(values: Iterable[Any], argument: str, least: int) -> list[int]:
    """A list of Python integers, from a list, tuple or array of whole numbers.

    Raises:
        OptionError: `values` is one value, or holds something else than such numbers.
    """
    if isinstance(values, (str, bytes, bytearray, memoryview)):
        raise OptionError(f"{argument}: expected a sequence of whole numbers, got {shown(values)}")
    return [whole_number(value, argument, least) for value in sequence(values, argument, "whole numbers")]


def flag(value: Any, argument: str) -> bool:
    """True or False, from one of Python's or of numpy's.

    Raises:
        OptionError: it is something else: the text ``"no"`` would count as True.
    """
    value = _plain_value(value, argument)
    if not isinstance(value, bool):
        raise OptionError(f"{argument}: expected True or False, got {shown(value)}")
    return value


def optional_text(value: Any, argument: str) -> str | None:
    """Text, or `None` for `None`.

    Raises:
        OptionError: as `text`.
    """
    return None if value is None else text(value, argument)


def text(value: Any, argument: str) -> str:
    """Text, such as a name.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, str):
        raise OptionError(f"{argument}: expected text, got {shown(value)}")
    return str(value)


def one_of(value: Any, known: Iterable[str], argument: str) -> str:
    """A word that is known.

    Raises:
        OptionError: it is none of `known`.
    """
    words = tuple(known)
    if not isinstance(value, str) or value not in words:
        raise OptionError(f"{argument}: expected one of {', '.join(words)}, got {shown(value)}")
    return str(value)


def mapping(value: Any, argument: str) -> Mapping[Any, Any]:
    """A dictionary or another mapping.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, Mapping):
        raise OptionError(f"{argument}: expected a mapping of names to values, got {shown(value)}")
    return value


def array(value: Any, argument: str, kinds: str = "biuf", axes: Sequence[int] = ()) -> Any:
    """An array in memory.

    Args:
        value: the argument.
        argument: its name, for errors.
        kinds: `numpy.dtype.kind` of its values: by default booleans and real numbers.
        axes: the numbers of axes that it may have; empty for any.

    Raises:
        OptionError: it is something else.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        raise OptionError(f"{argument}: expected a numpy array, got {shown(value)}")
    if is_memory_mapped(value):
        raise OptionError(f"{argument}: is in a mapped file; pass numpy.array({argument})")
    if value.dtype.kind not in kinds or (axes and value.ndim not in axes) or value.size > MOST_NUMBERS:
        form = f" of {' or '.join(map(str, axes))} dimensions" if axes else ""
        got = f"{value.dtype} of shape {value.shape}"
        raise OptionError(f"{argument}: expected an array of numbers{form}, got {got}")
    return value


def check_lengths(**values: Sized) -> None:
    """Refuse arguments of different lengths.

    Raises:
        OptionError: names them and their lengths.
    """
    if len({len(value) for value in values.values()}) > 1:
        found = ", ".join(f"{name} has {len(value)}" for name, value in values.items())
        raise OptionError(f"expected the same number of values: {found}")


def callback(value: CallableT, argument: str) -> CallableT:
    """A function that the caller passes, or another object that can be called; or `None`.

    Raises:
        OptionError: it cannot be called, or is a class.
    """
    if value is not None and (isinstance(value, type) or not callable(value)):
        raise OptionError(f"{argument}: expected a function, got {shown(value)}")
    return value


def real_number(value: Any, argument: str, finite: bool = True) -> float:
    """A Python float, from an integer or float of Python's or of numpy's.

    Raises:
        OptionError: it is not a number, or not finite where it has to be.
    """
    number = _plain_value(value, argument)
    if not is_real(number) and (finite or not isinstance(number, float)):
        raise OptionError(f"{argument}: expected a number, got {shown(number)}")
    return float(number)


def duration(value: Any, argument: str) -> float:
    """Seconds, above 0 and up to a day.

    Raises:
        OptionError: it is something else.
    """
    seconds = real_number(value, argument)
    if not 0 < seconds <= _DAY_S:
        raise OptionError(f"{argument}: expected seconds, above 0 and up to {_DAY_S}, got {seconds:g}")
    return seconds


def sequence(values: Iterable[Any], argument: str, kind: str) -> list[Any]:
    """The items of a list, tuple, array or other iterable.

    Raises:
        OptionError: `values` is one value, has more than a million items, or cannot be iterated over.
    """
    if is_memory_mapped(values):
        raise OptionError(f"{argument}: is in a mapped file; pass numpy.array({argument})")
    try:
        items = list(islice(values, MOST_ITEMS + 1))
    except Exception as error:  # whatever the object's own iteration raises
        raise OptionError(f"{argument}: expected a sequence of {kind}, got {shown(values)}") from error
    if len(items) > MOST_ITEMS:
        raise OptionError(f"{argument}: expected {MOST_ITEMS} {kind} at most, got more")
    return items


def _plain_value(value: Any, argument: str) -> Any:
    try:
        return plain(value)
    except OptionError as error:
        raise OptionError(f"{argument}: {error}") from error


def path_text(value: Any) -> str | None:
    """The text of a path; `None` where it is none, or not text: for those with an error of their own."""
    if not isinstance(value, (str, os.PathLike)):
        return None
    try:
        path = os.fspath(value)
    except Exception:  # of a class whose method raises, or returns a number
        return None
    return path if isinstance(path, str) else None
