"""The option with which a command takes a bundle's order, and measures nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def tune_option(command: CommandT) -> CommandT:
    """Add ``--no-tune`` to a command that runs one artifact of a bundle."""
    told = "Take the first artifact that can run here: do not measure which is the fastest."
    return click.option("--no-tune", is_flag=True, help=told)(command)


def asked_tune(given: dict[str, Any]) -> bool | None:
    """Argument `tune` of `edgevision.load`, as the option of `tune_option` says it."""
    return False if given.get("no_tune") else None
