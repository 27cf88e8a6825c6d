"""Minutes on end: what heat, other programs and leaks do to a model that is always at work."""

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
    """What was measured in one minute.

    Attributes:
        times: of each call.
        deadline_misses: calls that took longer than the deadline; 0 where there is none.
        memory_mb: resident at its end, in MB (10**6 bytes).
        clock_mhz, temperature_c: at its end; `None` where the system does not tell.
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
    """Several minutes.

    Attributes:
        minutes: in their order.
        deadline_ms: of each call; `None` where none was given.
    """

    minutes: Sequence[Minute]
    deadline_ms: float | None

    @property
    def memory_slope_mb(self) -> float:
        """How the memory rises, in MB a minute: of a straight line through the minutes after the first."""
        memory = [minute.memory_mb for minute in self.minutes[1:]]
        return float(np.polyfit(range(len(memory)), memory, 1)[0]) if len(memory) > 1 else 0.0

    @property
    def deadline_misses(self) -> int:
        """Of all calls."""
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
    """Run a call again and again.

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
    # Plain numbers in a row: a minute of a tiny network is millions of calls, and its memory is measured.
    taken, end = array("q", timed(call)), time.perf_counter() + seconds
    while time.perf_counter() < end:
        taken.extend(timed(call))
    times = times_of(taken)
    misses = 0 if deadline_ms is None else int((times.wall_ns > deadline_ms * 1e6).sum())
    return Minute(times, misses, memory_mb(), clock_mhz(), temperature_c())
