"""Sustained load: the effect of heat, other programs and leaks on a model that runs for minutes."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.system.arguments import real_number, whole_number
from edgevision.system.machine import clock_mhz, memory_mb, temperature_c
from edgevision.system.timing import Call, Times, timed, times_of


@dataclass(frozen=True)
class Minute:
    """Measurements of one minute.

    Attributes:
        times: times of all calls.
        deadline_misses: calls that exceeded the deadline; 0 without one.
        memory_mb: resident memory at the end, in MB (10**6 bytes).
        clock_mhz, temperature_c: at the end; `None` if the system does not report them.
    """

    times: Times
    deadline_misses: int
    memory_mb: float
    clock_mhz: float | None
    temperature_c: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "times": self.times.to_dict(),
            "deadline_misses": self.deadline_misses,
            "memory_mb": self.memory_mb,
            "clock_mhz": self.clock_mhz,
            "temperature_c": self.temperature_c,
        }


@dataclass(frozen=True)
class Sustained:
    """Measurements of consecutive minutes.

    Attributes:
        minutes: in order.
        deadline_ms: deadline of each call; `None` without one.
    """

    minutes: Sequence[Minute]
    deadline_ms: float | None

    @property
    def memory_slope_mb(self) -> float:
        """Growth of the memory in MB per minute, fitted by a line to all minutes but the first."""
        memory = [minute.memory_mb for minute in self.minutes[1:]]
        return float(np.polyfit(range(len(memory)), memory, 1)[0]) if len(memory) > 1 else 0.0

    @property
    def deadline_misses(self) -> int:
        """Number of calls in all minutes that exceeded the deadline."""
        return sum(minute.deadline_misses for minute in self.minutes)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "minutes": [minute.to_dict() for minute in self.minutes],
            "deadline_ms": self.deadline_ms,
            "deadline_misses": self.deadline_misses,
            "memory_slope_mb_a_minute": self.memory_slope_mb,
        }


def sustain(
    call: Call,
    minutes: int,
    deadline_ms: float | None = None,
    after_minute: Callable[[Minute], None] = lambda minute: None,
    *,
    minute_s: float = 60.0,
) -> Sustained:
    """Run a call repeatedly for minutes.

    Args:
        call: the call to time.
        minutes: how long to run it.
        deadline_ms: wall time above which a call counts as a miss.
        after_minute: called after each minute, with its measurements.
        minute_s: length of a minute in seconds, for tests.

    Raises:
        OptionError: `minutes` is not a whole number of 1 or more, or `deadline_ms` is not a number.
    """
    minutes = whole_number(minutes, "minutes", least=1)
    deadline_ms = None if deadline_ms is None else real_number(deadline_ms, "deadline_ms")
    results = []
    for _ in range(minutes):
        results.append(_minute(call, deadline_ms, minute_s))
        after_minute(results[-1])
    return Sustained(results, deadline_ms)


def _minute(call: Call, deadline_ms: float | None, seconds: float) -> Minute:
    # A compact array, because a tiny network makes millions of calls per minute and the memory is measured.
    taken, end = array("q", timed(call)), time.perf_counter() + seconds
    while time.perf_counter() < end:
        taken.extend(timed(call))
    times = times_of(taken)
    misses = 0 if deadline_ms is None else int((times.wall_ns > deadline_ms * 1e6).sum())
    return Minute(times, misses, memory_mb(), clock_mhz(), temperature_c())
