"""Times several calls by turns, so that what else runs on the machine falls on all of them alike."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rounds that are run and not counted: caches fill, and runtimes make themselves ready.
WARM_UP_ROUNDS = 5
#: Whatever the time, so many rounds are run: a median of fewer says little.
LEAST_ROUNDS = 10

Call = Callable[[], object]


@dataclass(frozen=True, eq=False)
class Times:
    """How long the runs of one call took.

    Attributes:
        wall_ns: int64 ``(runs,)``: nanoseconds by the clock on the wall, in the order of the runs.
        cpu_ns: int64 ``(runs,)``: nanoseconds of CPU time, of all the process's threads together.
    """

    wall_ns: NDArray[np.int64]
    cpu_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.wall_ns)

    @property
    def wall_us(self) -> float:
        """The median of the wall times, in microseconds."""
        return float(np.median(self.wall_ns)) / 1e3

    @property
    def cpu_us(self) -> float:
        """The median of the CPU times, in microseconds."""
        return float(np.median(self.cpu_ns)) / 1e3

    @property
    def least_wall_us(self) -> float:
        """The least of the wall times, in microseconds: what nobody disturbed."""
        return float(self.wall_ns.min()) / 1e3

    def to_dict(self) -> dict[str, Any]:
        """For JSON: number of runs, and median and tails in milliseconds."""
        return {
            "runs": len(self),
            "wall_ms": {**_percentiles_ms(self.wall_ns), "least": self.least_wall_us / 1e3},
            "cpu_ms": _percentiles_ms(self.cpu_ns),
        }


def interleave(calls: Mapping[str, Call], seconds: float) -> dict[str, Times]:
    """Run every call once a round, each round beginning with the next one, until the time is over.

    Args:
        calls: name -> what is timed.
        seconds: for all together, the rounds that warm up not counted.

    Returns:
        name -> its times, one a round.
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
    """Give every call in turn a burst of runs, the first of which is not counted.

    For calls of different runtimes: run singly by turns, each finds its caches filled by the others,
    and threads of theirs still spinning, which makes a small network two to four times slower, and
    not each runtime alike.

    Args:
        calls: name -> what is timed.
        seconds: for all together, as `Effort` counts them; no round begins after them.
        rounds: bursts of each call.
    """
    names = list(calls)
    burst_s = seconds / (rounds * len(names))
    taken = {name: array("q") for name in names}
    effort = Effort()
    for place in range(rounds):
        first = place % len(names)
        for name in names[first:] + names[:first]:
            _burst(calls[name], burst_s, taken[name])
        if effort.seconds > seconds:
            break
    return {name: times_of(row) for name, row in taken.items()}


def _burst(call: Call, seconds: float, taken: array[int]) -> None:
    effort = Effort()
    call()
    taken.extend(timed(call))
    while effort.seconds < seconds:
        taken.extend(timed(call))


class Effort:
    """What was spent since it was made: CPU time of the process, or a quarter of the time, if that is more.

    What other programs do on the machine then hardly shortens a measurement, and what sleeps or waits
    makes none endless.
    """

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return max(time.process_time() - self._cpu, (time.perf_counter() - self._wall) / 4)


def timed(call: Call) -> tuple[int, int]:
    """Run a call once: nanoseconds of wall and of CPU time."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    call()
    return time.perf_counter_ns() - wall, time.process_time_ns() - cpu


def times_of(taken: Iterable[int]) -> Times:
    """What `timed` gave, one after the other."""
    wall, cpu = np.fromiter(taken, np.int64).reshape(-1, 2).T
    return Times(wall, cpu)


def _percentiles_ms(values_ns: NDArray[np.int64]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(values_ns, (50, 95, 99)) / 1e6
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}
