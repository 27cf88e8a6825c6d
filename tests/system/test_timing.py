"""Calls are timed by turns; nothing is said of how long they take."""

from __future__ import annotations

import time

from edgevision.system.timing import LEAST_ROUNDS, Effort, interleave, interleave_bursts


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


def test_in_bursts_the_first_run_of_each_is_not_counted_and_no_call_is_always_first() -> None:
    order: list[str] = []
    times = interleave_bursts({name: lambda name=name: order.append(name) for name in "abc"}, 0.3)
    bursts = "".join(one for one, before in zip(order, ["", *order], strict=False) if one != before)
    assert bursts == "abcbcacab"
    assert sum(map(len, times.values())) < len(order)


def test_what_is_slow_is_run_twice_and_no_more_rounds_begin() -> None:
    order: list[str] = []
    times = interleave_bursts({name: lambda name=name: order.append(name) for name in "ab"}, 1e-9)
    assert order == ["a", "a", "b", "b"]
    assert [len(one) for one in times.values()] == [1, 1]


def test_what_sleeps_is_effort_too() -> None:
    effort = Effort()
    time.sleep(0.1)
    assert effort.seconds >= 0.025
