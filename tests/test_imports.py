"""Imports run one way: the layers of CONTRIBUTING.md, held by import-linter."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGINS = ("edgevision_tflite", "edgevision_openvino", "edgevision_onnxruntime", "edgevision_keras")
#: And what contracts themselves stand on.
CONTRACTS = [
    *(
        "artifact",
        "backend",
        "converter",
        "decoder",
        "description",
        "descriptions",
        "export_format",
        "graph",
        "hookspecs",
        "plugins",
        "session",
        "slots",
        "target",
        "tensors",
    ),
    *("system", "errors"),
]


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("importlinter", reason="needs import-linter; run: pip install import-linter")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    return subprocess.run(
        [*command, "--no-cache", "--no-logo", str(folder / "pyproject.toml")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_follows_the_layers_and_no_two_packages_import_each_other() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contributing_shows_the_layers_that_are_checked() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = settings.partition("layers = [")[2].partition("\n]")[0]
    layers = re.findall(r'^    "([a-z_ |:]+)",$', listed, flags=re.MULTILINE)
    shown = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace(",", " ").split()
    names = [name for layer in layers for name in re.split(r" [|:] ", layer)]
    assert names[0] == "cli"
    assert names[-1] == "errors"
    assert not [name for name in names if name not in shown]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_imports_nothing_of_the_core_but_contracts(plugin: str) -> None:
    root = ROOT / ("converters" if plugin == "edgevision_keras" else "plugins")
    for file in (root / plugin).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgevision."):
                assert (node.module or "").split(".")[1] in CONTRACTS, f"{file}:{node.lineno}"


def test_the_core_names_no_plugin() -> None:
    for file in (ROOT / "edgevision").rglob("*.py"):
        found = [name for name in PLUGINS if name in file.read_text(encoding="utf-8")]
        assert not found, f"{file} names {found}"


def test_no_two_test_files_have_one_name() -> None:
    """pytest puts their folders on the path, and so takes the second of two for the first."""
    names = [file.name for file in (ROOT / "tests").rglob("*.py") if file.name != "conftest.py"]
    assert {name for name in names if names.count(name) > 1} <= {"__init__.py"}
