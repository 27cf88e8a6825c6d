"""``--limit``: limits of the process that reads and converts a source."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from edgevision.cli.options.groups import option
from edgevision.conversion.source_limits import SourceLimits

_NAMES = tuple(field.name for field in fields(SourceLimits))

LIMIT_OPTION = option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Limit of the process that reads and converts the source: memory_gb, reading_s, idle_s (without any "
    "computing), total_s, or open_files. Repeatable. Default: derived from this machine and the size of the "
    "source.",
)


def source_limits_of(arguments: dict[str, Any]) -> SourceLimits:
    """The limits of ``--limit``, of which the last one of a name counts."""
    values: dict[str, float] = {}
    for text in arguments["limits"]:
        name, _, number = text.partition("=")
        if name not in _NAMES:
            raise click.UsageError(
                f"--limit {text}: expected one of {', '.join(_NAMES)}, as in reading_s=300"
            )
        try:
            values[name] = int(number) if name == "open_files" else float(number)
        except ValueError:
            raise click.UsageError(f"--limit {text}: expected a number, as in {name}=300") from None
    return SourceLimits(**values)  # type: ignore[arg-type]
