"""The last minute of a stream in numbers, for charts: bounded, whatever the rate of frames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from edgevision.streaming.records import StreamCounters, StreamResult

#: Length of one bar of a chart, and how many there are.
BUCKET_S, BUCKETS = 0.5, 120
#: Values of one bar that its median is of.
_MOST_VALUES = 500


@dataclass
class _Bucket:
    number: int
    answered: int = 0
    latency_ms: list[float] = field(default_factory=list)
    age_ms: list[float] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)


class History:
    """Latency, age, answers and drops of the last minute, in bars of half a second. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self._dropped: Mapping[str, int] = {}

    def add(self, now_s: float, result: StreamResult[Any] | None, counters: StreamCounters) -> None:
        """Count a result, and what was dropped since the last call.

        Args:
            now_s: the present, in seconds from any start.
            result: it; `None` where there is none, and frames may still have been dropped.
            counters: of the stream.
        """
        with self._lock:
            bucket = self._at(int(now_s / BUCKET_S))
            bucket.answered += result is not None
            if result is not None and len(bucket.age_ms) < _MOST_VALUES:
                times = result.times
                bucket.latency_ms.append(times.preprocess_ms + times.inference_ms + times.postprocess_ms)
                bucket.age_ms.append(result.age_ms)
            for cause, count in counters.dropped.items():
                new = count - self._dropped.get(cause, 0)
                if new:
                    bucket.dropped[cause] = bucket.dropped.get(cause, 0) + new
            self._dropped = dict(counters.dropped)

    def to_dict(self, now_s: float) -> dict[str, Any]:
        """For the page: one value per bar, the present last; `None` where nothing was answered."""
        last = int(now_s / BUCKET_S)
        with self._lock:
            by_number = {bucket.number: bucket for bucket in self._buckets}
            bars = [by_number.get(number) for number in range(last - BUCKETS + 1, last + 1)]
            causes = sorted({cause for bar in bars if bar is not None for cause in bar.dropped})
            return {
                "bucket_s": BUCKET_S,
                "latency_ms": [_middle_and_most(bar.latency_ms if bar else ()) for bar in bars],
                "age_ms": [_middle_and_most(bar.age_ms if bar else ()) for bar in bars],
                "answered": [bar.answered if bar else 0 for bar in bars],
                "dropped": {
                    cause: [bar.dropped.get(cause, 0) if bar else 0 for bar in bars] for cause in causes
                },
            }

    def _at(self, number: int) -> _Bucket:
        if not self._buckets or self._buckets[-1].number != number:
            self._buckets.append(_Bucket(number))
        return self._buckets[-1]


def _middle_and_most(values: Any) -> list[float] | None:
    return [round(median(values), 2), round(max(values), 2)] if values else None
