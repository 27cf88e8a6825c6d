"""Values that exporters wrote as text: JSON, or the ``str`` of a Python value."""

from __future__ import annotations

from typing import Any

#: A thousand class names take a fiftieth of it.
_MOST_CHARACTERS = 2_000_000


def read_literal(text: str) -> Any:
    """The value that a text stands for: JSON or a Python literal; nothing in it is ever executed.

    Raises:
        ValueError: it is neither, or absurdly long.
    """
    import ast

    from edgevision.system.strict_json import JsonError, read_json

    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters, more than {_MOST_CHARACTERS}")
    try:
        return read_json(text)
    except JsonError:
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"neither JSON nor a Python literal: {text[:80]!r}") from error


def read_numbers(text: str) -> tuple[float, ...] | None:
    """Numbers separated by white space or commas; `None` for any other text."""
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        return None


def read_flag(text: str) -> bool | None:
    """True or false in one of the spellings of OpenVINO's and Python's writers; `None` for any other text."""
    return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(text.lower())
