"""Fixtures of the tests of conversions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgevision.conversion.convert import Conversion
from edgevision.conversion.settings import ConversionRequest
from edgevision.evidence.records import Evidence
from edgevision.execution.run_costs import RunCosts, RunSubject, Timing
from edgevision.plugins import registry
from edgevision.system.progress import Progress

#: Modules whose tests are about the process that converts.
_ISOLATED = ("test_isolated", "test_hostile_sources")


@pytest.fixture(autouse=True)
def _in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process, which imports TensorFlow once, and in which tests replace functions."""

    def convert_here(asked: ConversionRequest, limits: object, progress: Progress | None) -> Evidence:
        return Conversion.prepare(asked, registry(), progress).run()

    if request.module.__name__ not in _ISOLATED:
        monkeypatch.setattr("edgevision.conversion.convert.convert_isolated", convert_here)


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Milliseconds of a run by the id of a candidate, to be filled; all others take 1 ms."""
    times: dict[str, float] = {}

    def in_turn(subjects: Mapping[str, RunSubject]) -> dict[str, RunCosts]:
        return {name: _costs(times.get(name, 1.0)) for name in subjects}

    monkeypatch.setattr("edgevision.conversion.candidate_times.run_costs_in_turn", in_turn)
    return times


def _costs(ms: float) -> RunCosts:
    return RunCosts(ms, 60.0, Timing(50, 0.9 * ms, 0.8 * ms, 1.3 * ms, 1.0, 0.1, 2), (0.9 * ms,) * 5)
