"""The short form of benchmarks/coverage.py: intervals contain the true value as often as they say."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "intervals.md"

#: Of every kind of interval, the population that bootstraps failed on.
SHORT = {
    "99 % of the images": (50, 400),
    "0.5 % lost, 0.5 % gained": (200, 400),
    "10 classes, 1 % flip": (50, 60),
    "95:5, 1 and 10 % flip": (200, 60),
    "five labels, 1 % flip": (50, 60),
    "boxes, 90 % alike": (50, 100),
    "1 % of the images lose 6 dB": (50, 60),
    "1 % of the images are unlike": (50, 60),
    "scores that need a temperature of 1.25": (50, 60),
}


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "coverage_of_intervals", ROOT / "benchmarks" / "coverage.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SHORT)
def test_intervals_contain_the_true_value_as_often_as_they_say(coverage: ModuleType, name: str) -> None:
    size, sets = SHORT[name]
    rows = coverage.simulate(name, coverage.scenarios()[name], size, sets)
    assert [row for row in rows if not row.passed] == []
    assert all(row.width > 0 for row in rows)


def test_intervals_of_detectors_contain_the_true_value(coverage: ModuleType) -> None:
    rows = coverage.simulate("objects", coverage.Detectors(0.01, images=20_000), 50, 50)
    assert {row.metric for row in rows} >= {"mAP@0.50", "drop in mAP@0.50", "drop in AP@0.50 of a rare class"}
    assert [row for row in rows if not row.passed] == []


def test_intervals_of_groups_contain_the_true_value(coverage: ModuleType) -> None:
    rows = coverage.simulate("groups", coverage.grouped(20, 0.1, 0.01), 100, 60)
    assert [row for row in rows if not row.passed] == []
    apart = next(row for row in rows if row.metric == "accuracy")
    assert apart.width > 1.5 * 2 * 1.96 * (0.85 * 0.15 / 2000) ** 0.5, (
        "wider than as if images were independent"
    )


def test_a_bootstrap_of_the_same_drop_would_be_outside(coverage: ModuleType) -> None:
    """The limits of the table can fail: the percentiles of resamples do, where no image has changed."""

    def bootstrap(random: np.random.Generator, size: int):
        lost = random.random(size) < 0.01
        means = lost[random.integers(0, size, (300, size))].mean(axis=1)
        low, high = np.quantile(means, (0.025, 0.975))
        yield coverage.Drawn("drop", 0.01, True, None, lambda _: (low, high))

    (row,) = coverage.simulate("bootstrap", bootstrap, 50, 200)
    assert not row.passed
    assert row.covered < 0.6


def test_every_row_of_the_page_is_inside() -> None:
    rows = [
        line.split("|")[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "
    ]
    rows = [[cell.strip() for cell in row] for row in rows[2:]]
    assert len(rows) > 200
    assert {int(row[2]) for row in rows} >= {50, 100, 200, 1000, 5000}
    for metric, _, _, sets, covered, beyond, _ in rows:
        errors = [3 * (p * (1 - p) / int(sets)) ** 0.5 for p in (0.94, 0.025)]
        assert float(covered) >= 0.94 - errors[0]
        if "drop" in metric or "agreement" in metric:
            assert float(beyond) <= 0.025 + errors[1]


def test_the_command_of_the_page_runs() -> None:
    command = re.search(
        r"```bash\npython (benchmarks/coverage.py) > docs/intervals.md\n```", PAGE.read_text()
    )
    assert command is not None
    words = [*shlex.split(command[1]), "--sets", "20", "--sizes", "50", "--only", "99.9 %"]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "# Coverage of the intervals" in done.stdout
    assert "| accuracy, agreement | 99.9 % of the images | 50 | 40 |" in done.stdout
