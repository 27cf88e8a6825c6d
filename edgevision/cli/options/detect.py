"""Options of detectors: thresholds, and for bare files the decoder and its settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_SHARE = click.FloatRange(0.0, 1.0)
_THRESHOLDS = (
    click.option("--score-threshold", type=_SHARE, help="Objects that score less are left out."),
    click.option("--iou-threshold", type=_SHARE, help="Of objects of a class that overlap more, the best."),
    click.option("--max-detections", type=click.IntRange(min=1), help="At most so many objects an image."),
)


def _settings(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"expected NAME=VALUE such as box_unit=pixels, got '{text}'")
        settings[name] = _value(value)
    return settings


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


_DECODER = (
    click.option("--decoder", metavar="NAME", help="What turns a detector's outputs into boxes."),
    click.option(
        "--decoder-setting",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_settings,
        help="Of the decoder; VALUE is JSON or a word. May be given several times.",
    ),
)


def threshold_options(command: CommandT) -> CommandT:
    """Add the options for thresholds to a command."""
    return _with(command, _THRESHOLDS)


def decoder_options(command: CommandT) -> CommandT:
    """Add the options for bare detectors to a command."""
    return _with(command, _DECODER)


def given_thresholds(given: dict[str, Any]) -> dict[str, Any]:
    """The thresholds among a command's arguments that were given."""
    names = ("score_threshold", "iou_threshold", "max_detections")
    return {name: given[name] for name in names if given[name] is not None}


def given_settings(given: dict[str, Any]) -> dict[str, Any]:
    """The decoder's settings among a command's arguments."""
    settings: dict[str, Any] = given["decoder_setting"]
    return settings


def _with(command: CommandT, options: tuple[Callable[[CommandT], CommandT], ...]) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command
