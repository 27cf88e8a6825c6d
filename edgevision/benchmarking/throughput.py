"""Throughput on all cores, compared with the ceiling of the machine."""

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
    """Images per second, and the ceiling measured in the same run.

    Attributes:
        streams: number of concurrent threads, each with its own slot.
        images_per_second: throughput of the whole call.
        ceiling_per_second: throughput of resize and invoke alone, measured in turn with it.
    """

    streams: int
    images_per_second: float
    ceiling_per_second: float

    @property
    def percent_of_ceiling(self) -> float:
        """Throughput of the whole call in percent of the ceiling."""
        return 100 * self.images_per_second / self.ceiling_per_second


def throughput(whole: Sequence[Call], needed: Sequence[Call], images: int, seconds: float) -> Throughput:
    """Measure both in turn; each result is the median of its turns.

    Args:
        whole, needed: one call per stream.
        images: images per call.
        seconds: total duration.
    """
    window = seconds / (2 * _WINDOWS)
    rates = [(rate(whole, window), rate(needed, window)) for _ in range(_WINDOWS)]
    achieved, ceiling = np.median(np.array(rates), axis=0) * images
    return Throughput(len(whole), float(achieved), float(ceiling))


def rate(calls: Sequence[Call], seconds: float) -> float:
    """Calls per second of all streams together; each stream makes at least one call."""
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
