"""The command line `edgevision`: one module per command.

A command is imported when it is called, so that ``edgevision --help`` is fast.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from edgevision._version import __version__
from edgevision.cli.lines import echo_line
from edgevision.cli.options.verbosity import verbosity_options
from edgevision.cli.own_stdout import keep_stdout_apart
from edgevision.errors import EdgeVisionError, OutputError, first_line
from edgevision.system.credentials import without_credentials

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

TRACEBACK_VARIABLE = "EDGEVISION_TRACEBACK"
#: Reasons for which only writing fails.
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_COMPLETION_VARIABLE = "_EDGEVISION_COMPLETE"

COMMANDS = {
    "backends": "List the backends, and how to install those that are missing.",
    "batch": "Predict about many images, resumable, here or on a cluster.",
    "bench": "Time a model stage by stage, compared with the bare runtime.",
    "compare": "Say which of two models is better, and if that is significant.",
    "convert": "Convert a trained Keras model into a bundle, with evidence.",
    "explain": "Draw what a model's answers about images rest on.",
    "export": "Write a model of a bundle in the form of another program.",
    "evaluate": "Measure a model on labelled images, on this machine.",
    "gate": "Set limits for the frames of a camera, beyond which a model is not asked.",
    "generate": "Generate images with a bundle.",
    "inspect": "Show the contents and the evidence of a bundle.",
    "install": "Put a bundle in the place of the one before it, after checking it here.",
    "journal": "Verify, show, export or replay the record of a model's answers.",
    "pack": "Slim a bundle, zip it, or put artifacts compiled elsewhere into it.",
    "plan-evaluation": "Say how many images an evaluation set needs.",
    "plugins": "List the plugins, what they provide, and what is wrong with them.",
    "predict": "Classify images or detect objects in them.",
    "report": "Write the evidence of a bundle as one HTML page.",
    "sbom": "List what a bundle is made of, and the libraries that it loads.",
    "selftest": "Check a bundle's known answers on this machine.",
    "serve": "Answer for models over HTTP, by the Open Inference Protocol.",
    "sign": "Sign a bundle with a local key.",
    "stream": "Run a model on a camera, a video or a network stream.",
    "targets": "List the device profiles that a model can be converted for.",
    "tune": "Time a bundle on every backend, and remember the fastest.",
    "verify": "Check every file of a bundle, and who signed it.",
}

_EPILOG = """\b
Shell completion: add this line to ~/.bashrc (zsh: zsh_source and ~/.zshrc).
  eval "$(_EDGEVISION_COMPLETE=bash_source edgevision)"

\b
Exit codes: 0 success, 1 internal error, 2 invalid option, 3 unusable image or
folder, 4 unreadable model, 5 damaged bundle, 6 missing plugin or runtime,
7 unavailable device, 8 artifact rejected by its runtime, 9 failed inference,
10 failed conversion, 11 requirement not met, 12 unwritable output,
13 requirement not shown by these images, 14 not signed by someone who is trusted,
15 only some artifacts of a conversion passed, 16 stream not opened, lost or
broken, 17 not a journal, or one that was changed, 130 Ctrl-C."""


#: Key of a context's `meta` for the plugin whose command runs.
_PROVIDER = "edgevision.plugin"


class _Commands(click.Group):
    """A group that knows its commands by name, and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the built-in commands and of those that plugins add."""
        from edgevision.plugins.commands import plugin_commands

        return sorted({*COMMANDS, *plugin_commands(COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name in COMMANDS:
            command: click.Command = import_module(f"edgevision.cli.{cmd_name.replace('-', '_')}").command
            return command
        from edgevision.plugins import registry
        from edgevision.plugins.commands import import_command, plugin_commands

        added = plugin_commands(COMMANDS)
        if cmd_name in added:
            provider, point = added[cmd_name]
            ctx.meta[_PROVIDER] = provider
            return import_command(provider, point)
        plugins = registry()  # a plugin may name its commands in a hook, which takes importing it
        found = plugins.commands().get(cmd_name)
        if found is not None:
            ctx.meta[_PROVIDER] = plugins.provider("edgevision_commands", cmd_name)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """As click's; whatever a plugin's command raises is an error that names the plugin."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, EdgeVisionError, BrokenPipeError):
            raise
        except Exception as error:
            provider = ctx.meta.get(_PROVIDER)
            if provider is None or _is_disk_full(error) or os.environ.get(TRACEBACK_VARIABLE):
                raise
            from edgevision.plugins.door import failure

            raise failure(provider, f"command '{ctx.invoked_subcommand}'", error) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, and suggest the nearest command for one that does not exist."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            nearest = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if nearest and not args[0].startswith("-"):
                message = f"No such command '{args[0]}'. (Did you mean '{nearest[0]}'?)"
                raise click.UsageError(message, ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing the built-in ones."""
        with formatter.section("Commands"):
            formatter.write_dl(_summaries())

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing the built-in ones, and options."""
        from click.shell_completion import CompletionItem

        from edgevision.cli.options.completion import silenced

        with silenced():
            summaries = _summaries()
        items = [CompletionItem(name, help=text) for name, text in summaries if name.startswith(incomplete)]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


def _summaries() -> list[tuple[str, str]]:
    """Names and one-line descriptions of all commands; of a plugin's, what it comes from."""
    from edgevision.plugins.commands import plugin_commands

    added = {
        name: f"A command of {provider.package}." for name, (provider, _) in plugin_commands(COMMANDS).items()
    }
    return sorted({**added, **COMMANDS}.items())


@click.command(
    cls=_Commands,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edgevision")
@verbosity_options
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Convert trained Keras vision models for edge devices, with evidence, and run them there."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line, and exit with a code that `edgevision.errors` documents."""
    signal.signal(signal.SIGTERM, _terminate)
    keep_stdout_apart()
    stdout = sys.stdout
    # OpenCV and its FFmpeg log each broken image and frame, and so does this command line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        cli.main(prog_name="edgevision", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _exit("interrupted", 130)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "edgevision"
        _exit(f"{error.format_message().removesuffix('.')}; run {path} --help", error.exit_code)
    except EdgeVisionError as error:
        _exit(str(error), error.exit_code)
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(0)
    except SystemExit as error:
        # Click replaces stdout when its reader has closed the pipe, as `head` does.
        sys.exit(error.code if sys.stdout is stdout else 0)
    except Exception as error:
        if _is_disk_full(error):
            _discard_stdout()
            reason = error.strerror if isinstance(error, OSError) else error
            _exit(f"the output cannot be written: {reason}", OutputError.exit_code)
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        if _COMPLETION_VARIABLE in os.environ:  # nothing may disturb the line that is being typed
            sys.exit(1)
        _exit(
            f"internal error: {type(error).__name__}: {first_line(error)}; "
            f"run again with {TRACEBACK_VARIABLE}=1 for the traceback, and please report it",
            1,
        )
    sys.exit(0)


def _discard_stdout() -> None:
    """Drop what stdout still holds: Python would try again at its end, and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _DISK_FULL


def _exit(message: str, code: int) -> NoReturn:
    """End with one line on stderr, in which no address has its password."""
    echo_line(f"edgevision: {without_credentials(' '.join(message.split()))}", err=True)
    sys.exit(code)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    """Let a terminated process clean up, as Ctrl-C does."""
    raise SystemExit(128 + signum)
