"""The plugin to copy: it is short, installs, is found, keeps the contract, and can be left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[2] / "examples" / "plugin_template"

CHECK = """
from edgevision.artifact import Artifact
from edgevision.plugins import registry
from edgevision.testing import check_backend

rows = {row.name: row for row in registry().backend_statuses()}
assert rows["average"].ready, rows
assert rows["average"].plugin == "average", rows
check_backend(registry().backend("average"), Artifact("average", "float32", {"model.average": b"8x8x3"}))
print("kept")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH into which pip installed the plugin, from a copy of its source."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(TEMPLATE, folder / "source")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", folder / "site", folder / "source"], check=True)
    return folder / "site"


def run(program: str, site: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(site), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_its_python_is_under_forty_lines() -> None:
    modules = list(TEMPLATE.rglob("*.py"))
    assert sum(len(module.read_text().splitlines()) for module in modules) < 40


def test_it_is_found_and_keeps_the_contract(installed: Path) -> None:
    assert run(CHECK, installed) == "kept"


@pytest.mark.parametrize("disabled", ["average", "all"])
def test_it_can_be_left_out(installed: Path, disabled: str) -> None:
    program = "from edgevision.plugins import registry; print('average' in registry().backends())"
    assert run(program, installed, EDGEVISION_DISABLE_PLUGINS=disabled) == "False"


def test_the_programs_of_its_readme_run(installed: Path) -> None:
    blocks = (TEMPLATE / "README.md").read_text().split('python -c "')[1:]
    programs = [textwrap.dedent(block.split('"\n')[0]) for block in blocks]
    assert len(programs) == 2
    answers = [run(program, installed) for program in programs]
    assert "[1.]" in answers[0]
    assert answers[1] == ""
