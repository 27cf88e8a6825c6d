"""The command line `edgevision`, one file a command.

A command is imported when it is called, so that ``edgevision --help`` stays quick.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click

from edgevision._version import __version__
from edgevision.errors import EdgeVisionError, first_line
from edgevision.plugins import registry

TRACEBACK_VARIABLE = "EDGEVISION_TRACEBACK"

_COMMANDS = {
    "backends": "List every backend: ready, or why not and what to type.",
    "bench": "Time a model here, stage by stage, against the bare runtime.",
    "compare": "Say which of two bundles is better, and whether that is more than noise.",
    "convert": "Convert a trained Keras model into a bundle, with evidence.",
    "evaluate": "Measure a bundle on images whose truth is known, on this device.",
    "generate": "Make images with a bundle.",
    "inspect": "Show what a bundle holds and what was measured.",
    "predict": "Say what is in images, with a bundle or a bare model file.",
    "report": "Write what was measured of a bundle as one page to read and to file.",
    "selftest": "Check a bundle's known answers on this device.",
    "targets": "List the device profiles that a model can be converted for.",
    "tune": "Time a bundle on every backend here, and keep which is the fastest.",
}

_EXIT_CODES = """\b
Exit codes: 0 done, 2 wrong option, 3 unusable image or folder, 4 unreadable
model, 5 damaged bundle, 6 missing plugin or runtime, 7 absent device, 8 refused
artifact, 9 failed inference, 10 failed conversion, 11 too little agreement,
12 unwritable output, 130 Ctrl-C, 1 a bug."""


class _Commands(click.Group):
    """Knows its commands by name, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The built-in commands, and those that plugins add."""
        return sorted({*_COMMANDS, *registry().commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name in _COMMANDS:
            command: click.Command = import_module(f"edgevision.cli.{cmd_name}").command
            return command
        return registry().commands().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing the built-in ones."""
        added = {name: found.get_short_help_str() for name, found in registry().commands().items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**added, **_COMMANDS}.items()))


@click.command(cls=_Commands, epilog=_EXIT_CODES, invoke_without_command=True)
@click.version_option(__version__, prog_name="edgevision")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Put trained Keras vision models on edge devices, with evidence."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line, and exit with the code that `edgevision.errors` documents."""
    signal.signal(signal.SIGTERM, _leave)
    stdout = sys.stdout
    # OpenCV logs each broken image beside our own line about it.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        cli.main(prog_name="edgevision", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _exit("interrupted", 130)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "edgevision"
        _exit(f"{error.format_message()} Type: {path} --help", error.exit_code)
    except EdgeVisionError as error:
        _exit(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except SystemExit as left:
        # Click puts another in its place where the reader has closed our output, as `head` does.
        sys.exit(left.code if sys.stdout is stdout else 0)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        told = f"{type(error).__name__}: {first_line(error)}"
        _exit(f"a bug: {told}; {TRACEBACK_VARIABLE}=1 shows where, please report it", 1)
    sys.exit(0)


def _exit(message: str, code: int) -> NoReturn:
    """End with one line on stderr."""
    click.echo(f"edgevision: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    """Let a terminated process clean up behind itself, as Ctrl-C does."""
    raise SystemExit(128 + signum)
