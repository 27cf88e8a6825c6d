"""``-v`` and ``-q``: how much a command writes to stderr besides its results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from edgevision.cli.lines import one_line
from edgevision.cli.options.groups import CommandT

if TYPE_CHECKING:
    import logging

_LEVEL = "edgevision.verbosity"
_HANDLER = "edgevision.log_handler"


def verbosity_options(command: CommandT) -> CommandT:
    """Add ``-v`` and ``-q``; on the group and on its commands alike, where people type either."""
    for decorate in (
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_quiet,
            help="Print results and errors only, no progress.",
        ),
        click.option(
            "-v",
            "--verbose",
            count=True,
            expose_value=False,
            callback=_verbose,
            metavar="",
            help="Log to stderr, for example why a backend was chosen. Repeatable.",
        ),
    ):
        command = decorate(command)
    return command


def verbosity() -> int:
    """The number of ``-v`` that the running command was called with; -1 for ``-q``."""
    context = click.get_current_context(silent=True)
    return 0 if context is None else int(context.meta.get(_LEVEL, 0))


@contextmanager
def log_to(stream: TextIO) -> Iterator[None]:
    """Write the log to `stream` until the block ends."""
    context = click.get_current_context(silent=True)
    handler: logging.StreamHandler[TextIO] | None = None
    if context is not None:
        handler = context.meta.get(_HANDLER)
    if handler is None:
        yield
        return
    stderr = handler.stream
    handler.setStream(stream)
    try:
        yield
    finally:
        handler.setStream(stderr)


def _verbose(ctx: click.Context, param: click.Parameter, value: int) -> None:
    if value and not ctx.resilient_parsing:
        _set(ctx, value)


def _quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        _set(ctx, -1)


def _set(ctx: click.Context, value: int) -> None:
    """Take the value of one option, on the group or on its command, and set up the log."""
    import logging

    before = ctx.meta.get(_LEVEL, 0)
    if before * value < 0:
        raise click.UsageError("-q and -v contradict each other.")
    level = ctx.meta[_LEVEL] = max(before + value, -1)
    logger = logging.getLogger("edgevision")
    if not before:
        settings = logger.level, logger.propagate, list(logger.handlers)
        ctx.find_root().call_on_close(lambda: _restore(logger, *settings))
    if level < 0:
        logger.setLevel(logging.ERROR)
        return
    logger.setLevel(logging.INFO if level == 1 else logging.DEBUG)
    if _HANDLER not in ctx.meta:
        handler = ctx.meta[_HANDLER] = logging.StreamHandler()
        handler.setFormatter(_one_line_per_record())
        logger.addHandler(handler)
        logger.propagate = False


def _one_line_per_record() -> logging.Formatter:
    import logging

    class OneLine(logging.Formatter):
        """A file name with an end of line in it cannot forge a record."""

        def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
            return one_line(super().formatMessage(record))

    return OneLine("edgevision: %(message)s")


def _restore(logger: logging.Logger, level: int, propagate: bool, handlers: list[logging.Handler]) -> None:
    """Leave the process's log as it was, for a command that is called from Python."""
    logger.setLevel(level)
    logger.propagate, logger.handlers = propagate, handlers
