"""Options that describe a model's input and output, where the model itself does not."""

from __future__ import annotations

from typing import Any

import click

from edgevision.cli.options.groups import option
from edgevision.cli.options.path import PATH
from edgevision.imaging.input_options import InputOptions
from edgevision.imaging.levels import FILE_WINDOW
from edgevision.imaging.preprocess import COLORS, INTERPOLATIONS, RESIZE_MODES
from edgevision.tasks.score_calibration import SCORE_KINDS


def value_range(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Parse LOW..HIGH."""
    if value is None:
        return None
    low, _, high = value.partition("..")
    try:
        if not high.startswith("."):  # 0...1 reads as 0 to 1, and would be parsed as 0 to 0.1
            return float(low), float(high)
    except ValueError:
        pass
    raise click.BadParameter(f"expected LOW..HIGH such as 0..255 or -1..1, got '{value}'")


def _pair(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Parse two numbers with a comma between them."""
    if value is None:
        return None
    numbers = _numbers(ctx, param, value) or ()
    if len(numbers) != 2:
        raise click.BadParameter(f"expected {param.metavar}, two numbers with a comma, got '{value}'")
    return numbers[0], numbers[1]


def _window(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[float, float] | str | None:
    """Parse CENTER,WIDTH or ``file``."""
    return value if value == FILE_WINDOW else _pair(ctx, param, value)


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    try:
        return None if value is None else tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"expected X or X,Y,Z (one number per channel) such as 103.9,116.8,123.7, got '{value}'"
        ) from error


def size_wh(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Parse WIDTHxHEIGHT, in pixels."""
    if value is None:
        return None
    width, _, height = value.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise click.BadParameter(f"expected WIDTHxHEIGHT in pixels such as 224x224, got '{value}'")
    return int(width), int(height)


INPUT_OPTIONS = (
    option("--input-size", metavar="WxH", callback=size_wh, help="Input size, if the model leaves it open."),
    option(
        "--input-range",
        metavar="LOW..HIGH",
        callback=value_range,
        help="Values of black and white at the model's input, such as 0..255, 0..1 or -1..1.",
    ),
    option(
        "--preprocess",
        metavar="FAMILY",
        help="Preprocessing of a keras.applications family, such as mobilenet_v2.",
    ),
    option(
        "--mean",
        metavar="X[,Y,Z]",
        callback=_numbers,
        help="Mean to subtract after --input-range, one number per channel.",
    ),
    option(
        "--scale",
        metavar="X[,Y,Z]",
        callback=_numbers,
        help="Divisor to apply after --mean, one number per channel.",
    ),
    option("--color", type=click.Choice(COLORS), help="Channel order at the model's input."),
    option(
        "--resize",
        type=click.Choice(RESIZE_MODES),
        help="How an image is fitted to the input size; by default as the model or its decoder says, "
        "else stretch.",
    ),
    option(
        "--interpolation",
        type=click.Choice(INTERPOLATIONS),
        help="How pixels are resampled; by default as the model says, else bilinear.",
    ),
    option(
        "--pad-value",
        metavar="N",
        type=click.IntRange(0, 255),
        help="Pixel value of the padding that --resize letterbox adds; by default as the model says, else 0.",
    ),
    option(
        "--bit-depth",
        metavar="N",
        type=click.IntRange(8, 16),
        help="For images with more than 8 bits: black is 0, white is 2**N - 1, such as 12 for 0...4095.",
    ),
    option(
        "--window",
        metavar="CENTER,WIDTH",
        callback=_window,
        help="For images with more than 8 bits, and DICOM: black and white by a window, such as 40,400; "
        "or 'file' for the window of each DICOM file.",
    ),
    option(
        "--window-percentiles",
        metavar="LOW,HIGH",
        callback=_pair,
        help="For images with more than 8 bits: black and white are these percentiles of each image, "
        "such as 1,99.",
    ),
    option(
        "--pixel-range",
        metavar="LOW..HIGH",
        callback=value_range,
        help="For images with more than 8 bits or floats: the values of black and white in them.",
    ),
)
OUTPUT_OPTIONS = (
    option(
        "--labels",
        type=PATH,
        help="File with the class names: one per line, with or without ids, or .csv, .json, .yaml or .pbtxt.",
    ),
    option(
        "--scores",
        "score_kind",
        type=click.Choice(SCORE_KINDS),
        help="What the classifier's output contains.",
    ),
    option(
        "--output-name",
        metavar="NAME",
        help="Output with the class scores, for a model with several outputs.",
    ),
)


def input_options_of(arguments: dict[str, Any]) -> InputOptions:
    """The input options, out of a command's arguments."""
    return InputOptions(
        value_range=arguments["input_range"],
        applications=arguments["preprocess"],
        mean=arguments["mean"],
        scale=arguments["scale"],
        color=arguments["color"],
        resize=arguments["resize"],
        interpolation=arguments["interpolation"],
        pad_value=arguments["pad_value"],
        size_wh=arguments["input_size"],
        bit_depth=arguments["bit_depth"],
        pixel_range=arguments["pixel_range"],
        window=arguments["window"],
        window_percentiles=arguments["window_percentiles"],
    )
