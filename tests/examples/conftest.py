"""Fixtures of the tests of `examples/digits`: its modules, and the commands of its README."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = EXAMPLES / "digits"


@pytest.fixture(scope="module")
def digits_module() -> Iterator[Callable[[str], ModuleType]]:
    """Imports modules of the example, and removes them afterwards, for those of other examples."""
    before = set(sys.modules)
    sys.path.insert(0, str(DIGITS))
    try:
        yield import_module
    finally:
        sys.path.remove(str(DIGITS))
        for name in set(sys.modules) - before:
            if str(DIGITS) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.fixture(scope="module")
def as_typed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs the commands of a README section, except those that train, and returns the folder."""

    def run(section: str) -> Path:
        folder = tmp_path_factory.mktemp("typed")
        (folder / "examples").symlink_to(EXAMPLES)
        commands = [command for command in _commands(section) if " train " not in command]
        assert len(commands) > 1, section
        for command in commands:
            program, *words = shlex.split(command)
            start = [sys.executable, "-m", "edgevision"] if program == "edgevision" else [sys.executable]
            done = subprocess.run(
                [*start, *words],
                cwd=folder,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr[-3000:]}"
        return folder

    return run


def _commands(section: str) -> list[str]:
    readme = (DIGITS / "README.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", readme, flags=re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"```bash\n(.*?)```", body, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]
