"""The plugin to copy: it is short, installs, is found, keeps the contract, and can be disabled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edgevision.artifact import read_artifact
from edgevision.plugins import discover
from edgevision.session import open_session
from edgevision.system.entry_points import entry_points
from edgevision.testing import check_backend

TEMPLATE = Path(__file__).parents[2] / "examples" / "plugin_template"
README = (TEMPLATE / "README.md").read_text()

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


def code_lines(text: str) -> int:
    """Lines that are neither empty nor a docstring of one line."""
    return sum(bool(line.strip()) and not line.startswith('"""') for line in text.splitlines())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_hello_world_is_nine_lines_of_code_and_six_of_packaging() -> None:
    modules = list(TEMPLATE.rglob("*.py"))
    assert sum(code_lines(module.read_text()) for module in modules) <= 9
    assert code_lines((TEMPLATE / "pyproject.toml").read_text()) <= 6


def test_the_readme_shows_the_files_as_they_are() -> None:
    assert blocks("python")[0] == (TEMPLATE / "edgevision_average.py").read_text()
    assert blocks("toml") == [(TEMPLATE / "pyproject.toml").read_text()]


def test_it_is_found_and_keeps_the_contract(installed: Path) -> None:
    assert run(CHECK, installed) == "kept"


@pytest.mark.parametrize("disabled", ["average", "all"])
def test_it_can_be_disabled(installed: Path, disabled: str) -> None:
    program = "from edgevision.plugins import registry; print('average' in registry().backends())"
    assert run(program, installed, EDGEVISION_DISABLE_PLUGINS=disabled) == "False"


def test_the_programs_of_its_readme_run(installed: Path) -> None:
    programs = [textwrap.dedent(block.split('"\n')[0]) for block in README.split('python -c "')[1:]]
    assert len(programs) == 2
    answers = [run(program, installed) for program in programs]
    assert "[1., 1., 1.]" in answers[0]
    assert answers[1] == ""


def test_the_backend_with_a_runtime_in_its_readme_keeps_the_contract() -> None:
    if find_spec("ai_edge_litert") is None:
        pytest.skip("needs ai-edge-litert (extra `tflite`)")
    (source,) = blocks("python")[1:]
    names: dict[str, Any] = {"__name__": "edgevision_lite"}
    exec(compile(source, "edgevision_lite.py", "exec"), names)  # noqa: S102
    registry = discover([])
    registry.register(type("Plugin", (), {"edgevision_backends": names["edgevision_backends"]}), "lite")
    model = Path(__file__).parents[1] / "data" / "tiny.tflite"
    check_backend(registry.backend("lite"), read_artifact(model))
    assert registry.problems == []
    # Integers without their scale would be taken for scores, and no error would say so.
    quantized = read_artifact(model.with_name("tiny_int8.tflite"))
    specs = []
    for name, plugins in (("lite", registry), ("tflite", discover(entry_points("edgevision")))):
        with open_session(plugins.backend(name), quantized) as session:
            specs.append([tensor.quantization for tensor in (*session.inputs, *session.outputs)])
    assert None not in specs[0]
    assert specs[0] == specs[1]
