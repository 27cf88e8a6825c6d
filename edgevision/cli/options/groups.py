"""Options of a command under headings: `edgevision convert --help` lists more than forty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
#: Adds one option to a command, under a heading.
OptionUnder = Callable[[str], Callable[[Any], Any]]

_WIDEST_NAME = 28
_WORDS = f"{__name__}.words"


class GroupedOption(click.Option):
    """An option with the heading under which `GroupedCommand` lists it."""

    def __init__(self, *args: Any, heading: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.heading = heading


class GroupedCommand(click.Command):
    """A command whose help lists options under their headings, in the order of their first appearance.

    It keeps the words that it was called with, for `command_line`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's."""
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per heading, all with the same column of names."""
        sections: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            if record is not None:
                heading = getattr(param, "heading", None)
                (others if heading is None else sections.setdefault(heading, [])).append(record)
        sections["Other options" if sections else "Options"] = others
        names = [name for rows in sections.values() for name, _ in rows]
        width = min(_WIDEST_NAME, max(map(len, names)))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows], col_max=width)


def command_line(ctx: click.Context) -> tuple[str, ...]:
    """The words of the command line that called a `GroupedCommand`, such as ``("edgevision", "pack", …)``."""
    return (*ctx.command_path.split(), *ctx.meta[_WORDS])


def option(*names: str, **attributes: Any) -> OptionUnder:
    """Declare an option as `click.option` does; the command that uses it names the heading."""

    def under_heading(heading: str) -> Callable[[Any], Any]:
        return click.option(*names, cls=GroupedOption, heading=heading, **attributes)

    return under_heading


def under(heading: str, *options: OptionUnder) -> Callable[[CommandT], CommandT]:
    """Add options to a command, in this order, under a heading of its help."""

    def decorate(command: CommandT) -> CommandT:
        for declared in reversed(options):
            command = declared(heading)(command)
        return command

    return decorate
