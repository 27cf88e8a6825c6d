"""Options of a stream that follows objects."""

from __future__ import annotations

from typing import Any

import click

from edgevision.cli.options.completion import complete_tracker
from edgevision.cli.options.groups import option
from edgevision.cli.options.values import json_or_text
from edgevision.tasks.tracking import Tracking


def _settings(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"expected NAME=VALUE such as lost_track_buffer=60, got '{text}'")
        settings[name] = json_or_text(value)
    return settings


TRACK_OPTIONS = (
    option(
        "--track",
        metavar="NAME",
        shell_complete=complete_tracker,
        help="Follow objects from frame to frame: bytetrack, sort, ocsort, botsort or cbiou (extra `track`).",
    ),
    option(
        "--track-setting",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_settings,
        help="Setting of the tracker, such as track_activation_threshold=0.5. Repeatable.",
    ),
)


def tracking_of(arguments: dict[str, Any]) -> Tracking | None:
    """The tracking that was asked for, out of a command's arguments.

    Raises:
        click.UsageError: settings of no tracker.
    """
    name, settings = arguments["track"], arguments["track_setting"]
    if name is None:
        if settings:
            raise click.UsageError("--track-setting requires --track NAME.")
        return None
    return Tracking(name, settings)
