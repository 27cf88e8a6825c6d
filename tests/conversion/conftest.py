"""Fixtures of the tests of conversions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgevision.execution.run_costs import RunCosts, RunSubject, Timing


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
