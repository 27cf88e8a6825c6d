"""JSON values out of what a caller passes: copied, with Python's own types, and bounded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgevision.errors import OptionError
from edgevision.system.arguments import whole_number
from edgevision.system.numeric import is_memory_mapped, plain
from edgevision.system.shown import encodable, shown

#: Values of one document: more are no answer about a frame.
_MOST_VALUES = 200_000
_MOST_DEPTH = 20
_MOST_CHARACTERS = 1 << 20


def json_values(document: Mapping[Any, Any], argument: str) -> dict[str, Any]:
    """A copy of a document of JSON values; numpy's scalars and small arrays are such, too.

    Raises:
        OptionError: it has other values, such as NaN or objects, names that are not text, or too many.
    """
    left = [_MOST_VALUES]
    try:
        return {_name(name, argument): _value(document[name], argument, left, 1) for name in list(document)}
    except OptionError:
        raise
    except Exception as error:  # of a mapping whose methods raise
        raise OptionError(f"{argument}: cannot be read: {type(error).__name__}") from error


def _value(value: Any, argument: str, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > _MOST_DEPTH:
        raise OptionError(f"{argument}: expected {_MOST_VALUES:,} values in {_MOST_DEPTH} levels at most")
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise OptionError(f"{argument}: expected finite numbers, got {value}")
        return value
    if kind is int:
        return whole_number(value, argument)
    if isinstance(value, str):
        return _text(value, argument)
    if isinstance(value, Mapping):
        return {_name(name, argument): _value(value[name], argument, left, depth + 1) for name in list(value)}
    if isinstance(value, np.ndarray):
        if value.size > left[0] or value.dtype.kind not in "biuf" or is_memory_mapped(value):
            raise OptionError(f"{argument}: expected JSON values, got {shown(value)}")
        return _value(value.tolist(), argument, left, depth)
    if isinstance(value, (list, tuple)):
        return [_value(item, argument, left, depth + 1) for item in value]
    simple = plain(value)  # numpy's scalars
    if type(simple) in (bool, int, float):
        return _value(simple, argument, left, depth)
    raise OptionError(f"{argument}: expected JSON values, got {shown(value)}")


def _name(name: Any, argument: str) -> str:
    if not isinstance(name, str):
        raise OptionError(f"{argument}: expected names that are text, got {shown(name)}")
    return _text(name, argument)


def _text(text: str, argument: str) -> str:
    text = str(text)
    if len(text) > _MOST_CHARACTERS or "\0" in text:
        raise OptionError(
            f"{argument}: expected a text of {_MOST_CHARACTERS:,} characters at most, without NUL"
        )
    return encodable(text)
