"""One line of text is one line on the terminal, whatever a file name or a label holds."""

from __future__ import annotations

import re

import click

#: Control characters, ends of lines, marks that turn the order of writing round, and what no encoding has.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """A text with a visible escape such as ``\\n`` in place of each character that would leave its line."""
    return text if text.isprintable() else _NOT_SHOWN.sub(_escaped, text)


def echo_line(text: str = "", err: bool = False) -> None:
    """Print one line."""
    click.echo(one_line(text), err=err)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()
