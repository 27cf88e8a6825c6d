"""Images a second with every core at work, against what the machine could do at best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from edgevision.system.timing import Call

_WINDOWS = 4


@dataclass(frozen=True)
class Throughput:
    """How much of the machine reaches the network.

    Attributes:
        streams: threads that worked at once, each on a slot of its own.
        images_per_second: of the whole call.
        ceiling_per_second: of resize and invoke alone, in the same run, by turns.
    """

    streams: int
    images_per_second: float
    ceiling_per_second: float

    @property
    def percent_of_ceiling(self) -> float:
        """What the whole call reaches of the ceiling, 100 at best."""
        return 100 * self.images_per_second / self.ceiling_per_second


def throughput(whole: Sequence[Call], needed: Sequence[Call], images: int, seconds: float) -> Throughput:
    """Measure both by turns; each figure is the median of its turns.

    Args:
        whole, needed: a call for each stream.
        images: in one call.
        seconds: for all together.
    """
    window = seconds / (2 * _WINDOWS)
    rates = [(rate(whole, window), rate(needed, window)) for _ in range(_WINDOWS)]
    reached, possible = np.median(np.array(rates), axis=0) * images
    return Throughput(len(whole), float(reached), float(possible))


def rate(calls: Sequence[Call], seconds: float) -> float:
    """Calls a second of all streams together, each until the time is over, once at least."""
    begun = time.perf_counter()
    end = begun + seconds

    def stream(call: Call) -> int:
        done = 0
        while done == 0 or time.perf_counter() < end:
            call()
            done += 1
        return done

    with ThreadPoolExecutor(len(calls)) as pool:
        done = sum(pool.map(stream, calls))
    return done / (time.perf_counter() - begun)
