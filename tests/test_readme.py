"""Every command in the README and its pages runs, and their tables and limits are those of the code."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.plugins import registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
#: The pages that the README links.
PAGES = {
    path: (ROOT / path).read_text(encoding="utf-8")
    for path in sorted(set(re.findall(r"\]\((docs/[\w-]+\.md)\)", README)))
}


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def _commands(text: str) -> list[str]:
    return [line for block in _blocks("bash", text) for line in block.splitlines()]


COMMANDS = _commands(README)
#: A page whose commands do not end by themselves: `tests/serving/test_documented_commands.py` runs them.
SERVER_PAGE = "docs/serve.md"
#: Each once, those of the README first: what they make is there for those of the pages.
OF_PAGES = list(
    dict.fromkeys(
        command
        for name, page in PAGES.items()
        if name != SERVER_PAGE
        for command in _commands(page)
        if not command.startswith("python benchmarks/") and command not in COMMANDS
    )
)


def test_every_page_is_found_from_the_readme() -> None:
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} == set(PAGES)


def test_ci_runs_the_two_commands_for_a_fresh_machine() -> None:
    ci = (Path(__file__).parents[1] / ".ci" / "run").read_text(encoding="utf-8")
    quickstart, tests = COMMANDS[:2]
    assert quickstart.endswith("python examples/digits/quickstart.py")
    assert tests.endswith("pytest")
    assert "readme_command quickstart.py" in ci
    assert "readme_command pytest" in ci


@pytest.mark.convert
def test_every_other_command_works_after_the_quickstart(quickstart: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in [*COMMANDS[2:], *OF_PAGES]:
        assert command.startswith("edgevision "), command
        result = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)],
            cwd=quickstart,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    (program,) = _blocks("python")
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=quickstart, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0].startswith("7 ")


def test_every_backend_and_its_extra_is_in_the_table() -> None:
    assert all(f"| `{name}` | `{name}` |" in README for name in registry().backends())


def test_the_documented_limits_of_agreement_are_those_of_the_evaluator() -> None:
    text = PAGES["docs/convert.md"].replace("\n", " ")
    assert (
        "99.9 % for float32, 99.5 % for float16, 97 % for int8-dynamic and int16x8, 95 % for int8"
        in text.replace("   ", " ")
    )
    limits = ClassificationEvaluator.default_agreement
    assert (limits["float32"], limits["float16"]) == (0.999, 0.995)
    assert limits["int8-dynamic"] == limits["int16x8"] == 0.97
    assert limits["int8"] == 0.95
