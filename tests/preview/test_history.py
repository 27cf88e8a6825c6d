"""The last minute of a stream in numbers."""

from __future__ import annotations

from typing import Any

from edgevision.preview.history import BUCKET_S, BUCKETS, History
from edgevision.streaming.records import OK, RunFacts, StageTimes, StreamCounters, StreamResult


def result(age_ms: float, latency_ms: float = 2.0) -> Any:
    times = StageTimes(0, 0, 0, 0, latency_ms, 0, 0)
    return StreamResult(OK, "", None, age_ms, times, RunFacts("b", "cpu", "int8", None), None)


def counters(answered: int, **dropped: int) -> StreamCounters:
    return StreamCounters(answered + sum(dropped.values()), answered, dropped, 0, 0, 0, 0, 0)


def test_bars_have_medians_highest_values_and_drops_by_cause() -> None:
    history = History()
    for count, age in enumerate((10.0, 30.0, 20.0), 1):
        history.add(100.1, result(age), counters(count, late=2, newer=count))
    history.add(100.1 + 2 * BUCKET_S, result(50.0, 9.0), counters(4, late=5, newer=3))
    shown = history.to_dict(100.1 + 2 * BUCKET_S)
    assert shown["age_ms"][-3:] == [[20.0, 30.0], None, [50.0, 50.0]]
    assert shown["latency_ms"][-1] == [9.0, 9.0]
    assert shown["answered"][-3:] == [3, 0, 1]
    assert {cause: bars[-3:] for cause, bars in shown["dropped"].items()} == {
        "late": [2, 0, 3],
        "newer": [3, 0, 0],
    }


def test_drops_without_any_answer_are_shown() -> None:
    history = History()
    history.add(100.0, None, counters(0, late=7))
    shown = history.to_dict(100.0)
    assert shown["dropped"]["late"][-1] == 7
    assert shown["answered"][-1] == 0
    assert shown["age_ms"][-1] is None


def test_only_the_last_minute_is_kept_whatever_the_rate() -> None:
    history = History()
    for number in range(20_000):
        history.add(number / 100, result(1.0), counters(number + 1))
    shown = history.to_dict(200.0)
    assert {len(shown[name]) for name in ("latency_ms", "age_ms", "answered")} == {BUCKETS}
    assert len(history._buckets) == BUCKETS
    for _ in range(5000):
        history.add(300.0, result(1.0), counters(30_000))
    assert len(history._buckets[-1].age_ms) <= 500
    assert history.to_dict(300.0)["answered"] == [0] * (BUCKETS - 1) + [5000]
    assert history.to_dict(900.0)["age_ms"] == [None] * BUCKETS
