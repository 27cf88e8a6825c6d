"""Options that say what a network's input takes, shared by `convert` and `predict`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.preprocess import COLORS, INTERPOLATIONS, RESIZE_MODES
from edgevision.tasks.score_calibration import SCORE_KINDS

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def value_range(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Parse LOW..HIGH."""
    if value is None:
        return None
    low, _, high = value.partition("..")
    try:
        return float(low), float(high)
    except ValueError as error:
        raise click.BadParameter(f"expected LOW..HIGH such as 0..255, got '{value}'") from error


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    try:
        return None if value is None else tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"expected X, or X,Y,Z, a number a channel, got '{value}'") from error


def size_wh(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Parse WIDTHxHEIGHT, in pixels."""
    if value is None:
        return None
    width, _, height = value.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise click.BadParameter(f"expected WIDTHxHEIGHT in pixels such as 224x224, got '{value}'")
    return int(width), int(height)


_OPTIONS = (
    click.option(
        "--input-range",
        metavar="LOW..HIGH",
        callback=value_range,
        help="Values of black and white at the input: 0..255, 0..1, =-1..1.",
    ),
    click.option("--preprocess", metavar="FAMILY", help="keras.applications family, such as mobilenet_v2."),
    click.option("--mean", metavar="X[,Y,Z]", callback=_numbers, help="Subtracted after --input-range."),
    click.option("--scale", metavar="X[,Y,Z]", callback=_numbers, help="Divided by after --mean."),
    click.option("--color", type=click.Choice(COLORS), help="Order of the channels at the input."),
    click.option("--resize", type=click.Choice(RESIZE_MODES), default="stretch", show_default=True),
    click.option("--interpolation", type=click.Choice(INTERPOLATIONS), default="bilinear", show_default=True),
    click.option("--pad-value", type=click.IntRange(0, 255), default=0, help="Pixel of letterbox borders."),
    click.option("--scores", "score_kind", type=click.Choice(SCORE_KINDS), help="What the output holds."),
    click.option(
        "--output-name", metavar="NAME", help="The output with the scores, where there are several."
    ),
    click.option("--labels", type=click.Path(path_type=Path), help="Text file with a class a line."),
)


def image_options(command: CommandT) -> CommandT:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def input_options(given: dict[str, Any], input_size: tuple[int, int] | None = None) -> InputOptions:
    """Take the options of `image_options` out of a command's arguments."""
    return InputOptions(
        value_range=given.pop("input_range"),
        applications=given.pop("preprocess"),
        mean=given.pop("mean"),
        scale=given.pop("scale"),
        color=given.pop("color"),
        resize=given.pop("resize"),
        interpolation=given.pop("interpolation"),
        pad_value=given.pop("pad_value"),
        size_wh=input_size,
    )
