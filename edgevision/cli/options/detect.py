"""Options of detectors: thresholds, and for bare files the decoder and its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edgevision.cli.options.completion import complete_decoder
from edgevision.cli.options.groups import option
from edgevision.cli.options.values import json_or_text, named_texts

_SHARE = click.FloatRange(0, 1)

THRESHOLD_OPTIONS = (
    option("--score-threshold", metavar="SHARE", type=_SHARE, help="Drop objects with a lower score."),
    option(
        "--iou-threshold",
        metavar="SHARE",
        type=_SHARE,
        help="Suppress an object that overlaps a better one of its class by more than this IoU.",
    ),
    option(
        "--max-detections",
        metavar="N",
        type=click.IntRange(min=1),
        help="Maximum number of objects per image.",
    ),
)


def named_settings(
    example: str,
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], dict[str, Any]]:
    """A callback that parses NAME=VALUE into name -> JSON value, text, or `Path` of @FILE.

    Args:
        example: for the error.
    """

    def settings_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
        stated = named_texts(values, example)
        return {name: Path(v[1:]) if v.startswith("@") else json_or_text(v) for name, v in stated.items()}

    return settings_of


DECODER_OPTIONS = (
    option(
        "--decoder",
        metavar="NAME",
        shell_complete=complete_decoder,
        help="Decoder that turns a detector's outputs into boxes.",
    ),
    option(
        "--decoder-setting",
        metavar="NAME=VALUE",
        multiple=True,
        callback=named_settings("box_unit=pixels"),
        help="Setting of the decoder; VALUE is JSON, a word, or @FILE, a .npy or .json file. Repeatable.",
    ),
)


def thresholds_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The thresholds that were passed, out of a command's arguments."""
    names = ("score_threshold", "iou_threshold", "max_detections")
    return {name: arguments[name] for name in names if arguments[name] is not None}


def decoder_settings_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The decoder's settings, out of a command's arguments."""
    settings: dict[str, Any] = arguments["decoder_setting"]
    return settings
