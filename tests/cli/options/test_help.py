"""Help texts: options under headings, wrapped at the terminal's width, the same two ways to ask for them."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from edgevision import cli
from edgevision.cli.options.groups import GroupedCommand, option, under

HEADINGS = [
    "Target",
    "Data",
    "Quality",
    "Source",
    "Model input",
    "Task (classifiers and detectors)",
    "Task (models that generate images)",
    "Task (any, and those of plugins)",
    "Output",
    "Other options",
]


def _help(*words: str, width: int = 80) -> str:
    result = CliRunner().invoke(cli.cli, [*words, "--help"], terminal_width=width)
    assert result.exit_code == 0, result.output
    return result.output


def _command(name: str) -> click.Command:
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    return command


def test_convert_lists_its_options_under_headings() -> None:
    lines = _help("convert").splitlines()
    assert [line[:-1] for line in lines if re.fullmatch(r"\S.*:", line)] == HEADINGS


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_option_is_listed_once_and_has_a_sentence(name: str) -> None:
    sections = re.split(r"^\S.*:$", _help(name), flags=re.MULTILINE)[1:]
    names = [line.split("  ")[1] for line in "".join(sections).splitlines() if line.startswith("  -")]
    listed = [word.split()[0] for name in names for word in name.split(", ")]
    assert len(set(listed)) == len(listed)
    for param in _command(name).params:
        if isinstance(param, click.Option):
            assert set(param.opts) <= set(listed)
            assert param.help, param.name
            assert param.help[0].isupper() or param.help.startswith("auto"), param.help
            assert param.help.endswith("."), param.help


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_no_line_is_too_wide_or_broken_inside_an_option(name: str, width: int) -> None:
    for line in _help(name, width=width).splitlines():
        assert len(line) <= width
        assert not line.endswith("-"), line


@pytest.mark.parametrize("name", [(), *[(name,) for name in sorted(cli.COMMANDS)]])
def test_h_is_short_for_help(name: tuple[str, ...]) -> None:
    assert (
        CliRunner().invoke(cli.cli, [*name, "-h"]).output
        == CliRunner().invoke(cli.cli, [*name, "--help"]).output
    )


def _load_greeting() -> click.Command:
    command: click.Command = import_module("greeting").hello
    return command


def test_a_command_of_a_plugin_is_listed_and_has_h(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greeting.py").write_text(
        'import click\n\n@click.command(\'hello\')\ndef hello():\n    """Greet the model."""\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    dist = SimpleNamespace(name="greetings", version="2.0")
    point = SimpleNamespace(name="hello", value="greeting:hello", dist=dist, load=_load_greeting)
    monkeypatch.setattr("edgevision.plugins.commands.command_points", lambda: [point])
    assert re.search(r"^  hello +A command of greetings 2\.0\.$", _help(), re.MULTILINE)
    assert "greeting" not in sys.modules, "a command is imported when it is typed"
    assert "Greet the model." in CliRunner().invoke(cli.cli, ["hello", "-h"]).output


def test_the_names_of_all_sections_have_one_column() -> None:
    @click.command(cls=GroupedCommand)
    @under("First", option("--a", help="The first."))
    @under("Second", option("--much-longer", metavar="N", help="The second."))
    @click.option("--plain", is_flag=True, help="The third.")
    def command(a: str, much_longer: str, plain: bool) -> None: ...

    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    columns = {line.index("The ") for line in lines if " The " in line}
    assert len(columns) == 1
    headings = [line for line in lines if line.endswith(":")]
    assert headings == ["First:", "Second:", "Other options:"]


def test_a_command_without_headings_has_the_section_that_click_writes() -> None:
    @click.command(cls=GroupedCommand)
    @click.option("--plain", is_flag=True, help="An option.")
    def command(plain: bool) -> None: ...

    assert "\nOptions:\n" in CliRunner().invoke(command, ["--help"]).output
