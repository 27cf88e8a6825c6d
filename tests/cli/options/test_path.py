"""Paths on the command line: refused where they are no path, and never taken for the current folder."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import edgevision
from edgevision.cli.options.path import PATH


def test_a_path_is_a_path() -> None:
    assert PATH.convert("a b/ä", None, None) == Path("a b/ä")
    assert PATH.convert(Path(), None, None) == Path()


@pytest.mark.parametrize("text", ["", "a" * 5000, "a\0"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"expected a path|cannot be a path"):
        PATH.convert(text, None, None)


def test_every_command_takes_paths_by_this_type() -> None:
    """``convert --calibration`` keeps its text, because the word ``synthetic`` is no path."""
    folder = Path(edgevision.__file__).parent / "cli"
    found = [
        f"{path.relative_to(folder)}: {ast.unparse(node)}"
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "click.Path"
    ]
    assert found == ["convert.py: click.Path()"]


def test_what_a_plugin_prints_on_import_does_not_stand_before_the_json(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text("print('welcome')\n")
    info = tmp_path / "chatty-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chatty\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[edgevision]\nchatty = chatty\n")
    done = subprocess.run(
        [sys.executable, "-m", "edgevision", "targets", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("["), done.stdout
    assert "welcome" in done.stderr
