"""Times several calls in turn, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rounds that are run and not counted, while caches fill and runtimes warm up.
WARM_UP_ROUNDS = 5
#: Minimum number of rounds, whatever the time: a median of fewer says little.
LEAST_ROUNDS = 10

Call = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Times:
    """The durations of the runs of one call.

    Attributes:
        wall_ns: int64 ``(runs,)``: wall time in nanoseconds, in the order of the runs.
        cpu_ns: int64 ``(runs,)``: CPU time of all the process's threads, in nanoseconds.
    """

    wall_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.wall_ns)

    @property
    def wall_us(self) -> float:
        """The median wall time, in microseconds."""
        return float(np.median(self.wall_ns)) / 1e3

    @property
    def cpu_us(self) -> float:
        """The median CPU time, in microseconds."""
        return float(np.median(self.cpu_ns)) / 1e3

    @property
    def least_wall_us(self) -> float:
        """The smallest wall time, in microseconds: a run that nothing disturbed."""
        return float(self.wall_ns.min()) / 1e3

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the number of runs, and their percentiles in milliseconds."""
        return {
            "runs": len(self),
            "wall_ms": {**_percentiles_ms(self.wall_ns), "least": self.least_wall_us / 1e3},
            "cpu_ms": _percentiles_ms(self.cpu_ns),
        }


def interleave(calls: Mapping[str, Call], seconds: float) -> dict[str, Times]:
    """Run every call once per round until the time is up; each round begins with another call.

    Args:
        calls: name -> the call to time.
        seconds: for all calls together, without the rounds that warm up.

    Returns:
        name -> its times, one per round.
    """
    names = list(calls)
    for _ in range(WARM_UP_ROUNDS):
        for call in calls.values():
            call()
    taken = {name: array("q") for name in names}
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        first = rounds % len(names)
        for name in names[first:] + names[:first]:
            taken[name].extend(timed(calls[name]))
        rounds += 1
    return {name: times_of(row) for name, row in taken.items()}


def interleave_bursts(calls: Mapping[str, Call], seconds: float, rounds: int = 3) -> dict[str, Times]:
    """Run every call in turn in a burst of runs, the first of which is not counted.

    For calls of different runtimes. Run one at a time in turn, each would find its caches filled by the
    others, and their threads still spinning: that slows a small network down two to four times, and not
    each runtime alike.

    Args:
        calls: name -> the call to time.
        seconds: for all calls together, as `Effort` counts them; no round begins after them.
        rounds: bursts per call.

    Returns:
        name -> its times.
    """
    names = list(calls)
    burst_s = seconds / (rounds * len(names))
    taken = {name: array("q") for name in names}
    effort = Effort()
    for place in range(rounds):
        first = place % len(names)
        for name in names[first:] + names[:first]:
            taken[name].extend(burst(calls[name], burst_s))
        if effort.seconds > seconds:
            break
    return {name: times_of(row) for name, row in taken.items()}


def burst(call: Call, seconds: float) -> array[int]:
    """Run a call for some time; the first run finds cold caches, and is not counted.

    Args:
        call: the call to time.
        seconds: as `Effort` counts them; at least one run is counted.

    Returns:
        The results of `timed`, one after the other.
    """
    effort, taken = Effort(), array("q")
    call()
    taken.extend(timed(call))
    while effort.seconds < seconds:
        taken.extend(timed(call))
    return taken


class Effort:
    """Counts the time spent since its creation: CPU time, or a quarter of the wall time, if that is more.

    So other programs hardly shorten a measurement, and a call that sleeps or waits does not make it endless.
    """

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Seconds spent so far."""
        return max(time.process_time() - self._cpu, (time.perf_counter() - self._wall) / 4)


def timed(call: Call) -> tuple[int, int]:
    """Run a call once.

    Returns:
        Wall time and CPU time, in nanoseconds.
    """
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    call()
    return time.perf_counter_ns() - wall, time.process_time_ns() - cpu


def times_of(taken: Iterable[int]) -> Times:
    """The results of `timed`, one after the other, as `Times`."""
    wall, cpu = np.fromiter(taken, np.int64).reshape(-1, 2).T
    return Times(wall, cpu)


def _percentiles_ms(values_ns: NDArray[np.int64]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(values_ns, (50, 95, 99)) / 1e6
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}
