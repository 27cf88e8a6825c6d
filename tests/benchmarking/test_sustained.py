"""Sustained load: one measurement per minute, missed deadlines, and the growth of memory."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from edgevision.benchmarking.sustained import Minute, Sustained, sustain


def test_each_minute_is_reported_and_missed_deadlines_are_counted() -> None:
    reported: list[Minute] = []
    sustained = sustain(lambda: time.sleep(0.002), 2, 1.0, reported.append, minute_s=0.02)
    assert list(sustained.minutes) == reported
    assert len(reported) == 2
    assert sustained.deadline_misses == sum(len(minute.times) for minute in reported), "2 ms exceed 1 ms"
    assert sustain(lambda: None, 1, 60_000.0, minute_s=0.01).deadline_misses == 0
    assert sustain(lambda: None, 1, minute_s=0.01).to_dict()["deadline_ms"] is None


def test_the_growth_of_memory_is_fitted_without_the_first_minute() -> None:
    (minute,) = sustain(lambda: None, 1, minute_s=0.01).minutes
    rising = [replace(minute, memory_mb=value) for value in (10.0, 100.0, 103.0, 106.0)]
    assert Sustained(rising, None).memory_slope_mb == pytest.approx(3.0)
    assert Sustained(rising[:2], None).memory_slope_mb == 0.0
