"""Every fault in ``docs/known-anomalies.md`` has a regression test, which exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "known-anomalies.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and not line.startswith(("| fault", "| ---"))
]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_a_known_anomaly_names_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 4
    fault, seen, done, named = row
    assert fault
    assert seen
    assert done
    tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", named)
    assert tests, f"{fault}: names no test"
    for path, name in tests:
        assert name in names_in(path), f"{path} has no {name}"


@pytest.mark.parametrize("issue", ["openvino#37577", "ultralytics#25923"])
def test_a_published_fault_that_we_are_immune_to_says_why(issue: str) -> None:
    (row,) = [row for row in ROWS if issue in row[0]]
    assert row[2].startswith("immune: ")


def test_each_issue_that_the_code_names_is_on_the_page() -> None:
    """A comment that names an issue of a runtime is a known anomaly."""
    named = {
        match
        for folder in ("edgevision", "plugins", "converters")
        for file in (ROOT / folder).rglob("*.py")
        for match in re.findall(
            r"\b(?:openvino|onnxruntime|tensorflow|LiteRT|ultralytics)#\d+", file.read_text()
        )
    }
    assert {issue for issue in named if issue not in PAGE.read_text()} == set()
