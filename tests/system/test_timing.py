"""Calls are timed in turn; no test asserts a time."""

from __future__ import annotations

import time

from edgevision.system.timing import LEAST_ROUNDS, Effort, interleave, interleave_bursts


def test_every_call_runs_as_often_as_the_others_and_none_is_always_first() -> None:
    order: list[str] = []
    times = interleave({name: lambda name=name: order.append(name) for name in "abc"}, 0.01)
    assert len({len(taken) for taken in times.values()}) == 1
    counted = order[-3 * len(times["a"]) :]
    rounds = ["".join(counted[at : at + 3]) for at in range(0, len(counted), 3)]
    assert rounds[:4] == ["abc", "bca", "cab", "abc"]


def test_there_are_enough_rounds_for_a_median_whatever_the_time() -> None:
    times = interleave({"slow": lambda: sum(range(1000))}, 1e-9)["slow"]
    document = times.to_dict()
    assert document["runs"] == len(times) == LEAST_ROUNDS
    assert 0 < document["wall_ms"]["least"] <= document["wall_ms"]["p50"] <= document["wall_ms"]["p95"]
    assert document["wall_ms"]["p95"] <= document["wall_ms"]["p99"]


def test_the_first_run_of_each_burst_is_not_counted_and_no_call_is_always_first() -> None:
    order: list[str] = []
    times = interleave_bursts({name: lambda name=name: order.append(name) for name in "abc"}, 0.3)
    bursts = "".join(one for one, before in zip(order, ["", *order], strict=False) if one != before)
    assert bursts == "abcbcacab"
    assert sum(map(len, times.values())) < len(order)


def test_a_slow_call_runs_twice_and_no_further_round_begins() -> None:
    order: list[str] = []
    times = interleave_bursts({name: lambda name=name: order.append(name) for name in "ab"}, 1e-9)
    assert order == ["a", "a", "b", "b"]
    assert [len(one) for one in times.values()] == [1, 1]


def test_sleeping_counts_as_effort_too() -> None:
    effort = Effort()
    time.sleep(0.1)
    assert effort.seconds >= 0.025
