"""Options that say which artifact of a bundle is run, and on what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from edgevision.backend import SessionSettings
from edgevision.cli.options.tune import asked_tune
from edgevision.evaluation.evaluate import RunSettings

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--backend", help="Backend that must run it."),
    click.option("--device", help="Device that it must run on, such as cpu or cuda:0."),
    click.option("--precision", help="Of the bundle's artifact, such as int8."),
    click.option(
        "--compute-precision",
        type=click.Choice(["float32", "float16", "bfloat16"]),
        help="In which float parts are computed. Default: the artifact's own; float32 never runs lower.",
    ),
    click.option("--threads", type=click.IntRange(min=1), help="CPU threads."),
    click.option("--delegate", help="Library of a TFLite delegate, such as libedgetpu.so.1."),
)


def run_options(command: CommandT) -> CommandT:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_settings(given: dict[str, Any]) -> RunSettings:
    """What the options of `run_options` among a command's arguments say."""
    options = {} if given["delegate"] is None else {"delegate": given["delegate"]}
    settings = SessionSettings(
        precision=given["compute_precision"], threads=given["threads"], options=options
    )
    asked = given["backend"], given["device"], given["precision"]
    return RunSettings(*asked, settings, asked_tune(given))
