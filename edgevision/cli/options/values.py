"""Options of the form NAME=VALUE, whose value is JSON or a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from edgevision.system.strict_json import JsonError, read_json


def named_texts(values: Iterable[str], example: str) -> dict[str, str]:
    """Name -> text after the equals sign.

    Raises:
        BadParameter: one of the values has no name or no equals sign, or a name is there twice.
    """
    named = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"expected NAME=VALUE such as {example}, got '{text}'")
        if name in named:
            raise click.BadParameter(f"'{name}' is stated twice; pass it once")
        named[name] = value
    return named


def json_or_text(text: str) -> Any:
    """The value of a setting: JSON, or the text itself if it is not."""
    try:
        return read_json(text)
    except JsonError:
        return text


def named_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Callback of an option: name -> value."""
    return {name: json_or_text(text) for name, text in named_texts(values, "threads=2").items()}
