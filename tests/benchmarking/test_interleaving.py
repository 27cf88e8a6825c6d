"""Calls are timed by turns; nothing is said of how long they take."""

from __future__ import annotations

from edgevision.benchmarking.interleaving import LEAST_ROUNDS, interleave


def test_every_call_is_run_as_often_as_the_others_and_no_one_is_always_first() -> None:
    order: list[str] = []
    times = interleave({name: lambda name=name: order.append(name) for name in "abc"}, 0.01)
    assert len({len(taken) for taken in times.values()}) == 1
    counted = order[-3 * len(times["a"]) :]
    rounds = ["".join(counted[at : at + 3]) for at in range(0, len(counted), 3)]
    assert rounds[:4] == ["abc", "bca", "cab", "abc"]


def test_whatever_the_time_there_are_enough_rounds_for_a_median() -> None:
    times = interleave({"slow": lambda: sum(range(1000))}, 1e-9)["slow"]
    told = times.to_dict()
    assert told["runs"] == len(times) == LEAST_ROUNDS
    assert 0 < told["wall_ms"]["least"] <= told["wall_ms"]["p50"] <= told["wall_ms"]["p95"]
    assert told["wall_ms"]["p95"] <= told["wall_ms"]["p99"]
