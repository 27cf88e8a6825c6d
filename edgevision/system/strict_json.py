"""JSON from files that others wrote: one reading of it, or an error.

`json.loads` takes what is not valid JSON (``NaN``), what every reader takes differently (a key that is there
twice), and what breaks its caller later (an integer of 5,000 digits, a thousand brackets, half of a surrogate
pair).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

#: Of an integer: enough for 64 bits.
_MOST_DIGITS = 20
_MOST_DEPTH = 100
#: Two patterns: as one it takes half as long again, and most of the time that a large document takes.
_LONG_INTEGER, _LARGE_EXPONENT = re.compile(r"[0-9]{21}"), re.compile(r"[eE]\+?[0-9]{3}")
#: A NUL, or what may be half of a surrogate pair.
_ODD_CHARACTER = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class JsonError(ValueError):
    """A text is not JSON that has one meaning; the message says where or what."""


def read_json(text: str | bytes | bytearray, *, finite: bool = True) -> Any:
    """The value of a JSON document, with one meaning for every reader.

    Args:
        text: UTF-8, without a byte order mark.
        finite: False to take ``NaN`` and ``Infinity``, which Python's programs write.

    Raises:
        JsonError: it is not JSON, or has a key twice, a number that is not finite, an integer of over 20
            digits, over 100 levels, or a text that cannot be encoded or holds a NUL.
    """
    try:
        if not isinstance(text, str):
            text = text.decode("utf-8")
        else:
            text.encode("utf-8")
        # Hooks for numbers cost seconds in large documents, and only numbers that look like it need them.
        hooks: dict[str, Any] = {"parse_constant": _refuse_constant} if finite else {}
        if _LONG_INTEGER.search(text) or _LARGE_EXPONENT.search(text):
            hooks |= {"parse_int": _whole, "parse_float": _real if finite else float}
        document = json.loads(text, object_pairs_hook=_unique, **hooks)
        if text.count("[") + text.count("{") > _MOST_DEPTH:
            _check_depth(document)
        if _ODD_CHARACTER.search(text):
            _check_texts(document)
    except JsonError:
        raise
    except RecursionError as error:
        raise JsonError(f"has more than {_MOST_DEPTH} levels") from error
    except (ValueError, MemoryError) as error:
        raise JsonError(str(error) or "does not fit into the memory") from error
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonError(f"the key '{twice:.80}' is there twice")
    return unique


def _refuse_constant(name: str) -> Any:
    raise JsonError(f"{name} is not valid in JSON; expected finite numbers")


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise JsonError(f"an integer has {len(digits.lstrip('-'))} digits, expected {_MOST_DIGITS} at most")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonError(f"the number {digits:.20} is too large")
    return value


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(_MOST_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise JsonError(f"has more than {_MOST_DEPTH} levels")


def _check_texts(document: Any) -> None:
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str):
            if "\0" in value:
                raise JsonError("a text holds a NUL character")
            value.encode("utf-8")
