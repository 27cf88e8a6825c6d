"""Value ranges and channel values can be typed as the help shows them, after a space or an equals sign."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from edgevision import cli

RANGES = (
    ("convert", "--input-range"),
    ("convert", "--output-range"),
    ("predict", "--input-range"),
    ("bench", "--input-range"),
)
CHANNELS = tuple(
    (name, option) for name in ("convert", "predict", "bench") for option in ("--mean", "--scale")
)
ARGUMENTS = {
    "convert": ("model.keras", "-o", "model.evb"),
    "predict": ("model.tflite", "image.png"),
    "bench": ("model.tflite",),
}


def _parsed(name: str, option: str, text: str, joined: bool) -> Any:
    """The value of a command's option, without running the command."""
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    words = [f"{option}={text}"] if joined else [option, text]
    context = command.make_context(name, [*ARGUMENTS[name], *words])
    return context.params[option[2:].replace("-", "_")]


@pytest.mark.parametrize("joined", [False, True], ids=["space", "equals"])
@pytest.mark.parametrize(
    ("text", "value"),
    [("0..255", (0, 255)), ("0..1", (0, 1)), ("-1..1", (-1, 1)), ("-0.5..0.5", (-0.5, 0.5))],
)
@pytest.mark.parametrize(("name", "option"), RANGES)
def test_a_range_is_typed_as_the_help_shows(
    name: str, option: str, text: str, value: Any, joined: bool
) -> None:
    assert _parsed(name, option, text, joined) == value


@pytest.mark.parametrize("joined", [False, True], ids=["space", "equals"])
@pytest.mark.parametrize(("name", "option"), CHANNELS)
def test_channel_values_may_be_negative(name: str, option: str, joined: bool) -> None:
    assert _parsed(name, option, "-1,-2.5,3", joined) == (-1, -2.5, 3)


@pytest.mark.parametrize("name", ["convert", "predict", "bench"])
def test_the_help_and_the_errors_show_the_form_with_a_space(name: str) -> None:
    text = CliRunner().invoke(cli.cli, [name, "--help"]).output
    assert "such as 0..255, 0..1 or -1..1" in " ".join(text.split())
    assert "=-1..1" not in text


@pytest.mark.parametrize("text", ["0", "0-1", "..", "1..", "a..b", "0..1..2", "0...1"])
def test_what_is_not_a_range_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected LOW\.\.HIGH such as 0\.\.255 or -1\.\.1"):
        _parsed("predict", "--input-range", text, joined=False)
