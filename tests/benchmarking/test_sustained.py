"""Minutes on end: a line a minute, misses of the deadline, and the rise of memory."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from edgevision.benchmarking.sustained import Minute, Sustained, sustain


def test_each_minute_is_told_and_late_calls_are_counted() -> None:
    told: list[Minute] = []
    found = sustain(lambda: time.sleep(0.002), 2, 1.0, told.append, minute_s=0.02)
    assert list(found.minutes) == told
    assert len(told) == 2
    assert found.deadline_misses == sum(len(minute.times) for minute in told), "2 ms are more than 1"
    assert sustain(lambda: None, 1, 60_000.0, minute_s=0.01).deadline_misses == 0
    assert sustain(lambda: None, 1, minute_s=0.01).to_dict()["deadline_ms"] is None


def test_the_slope_of_memory_leaves_out_the_minute_in_which_caches_fill() -> None:
    (minute,) = sustain(lambda: None, 1, minute_s=0.01).minutes
    rising = [replace(minute, memory_mb=value) for value in (10.0, 100.0, 103.0, 106.0)]
    assert Sustained(rising, None).memory_slope_mb == pytest.approx(3.0)
    assert Sustained(rising[:2], None).memory_slope_mb == 0.0
