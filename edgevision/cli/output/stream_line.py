"""The line that shows on a terminal how a stream goes."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from edgevision.cli.lines import one_line
from edgevision.health import Health
from edgevision.streaming.records import StreamCounters, StreamResult

_WINDOW = 300
_SECONDS_BETWEEN_MOVES = 0.5
_SECONDS_BETWEEN_LINES = 10.0


class StreamLine:
    """Frames per second, latencies, age and drops: one line on a terminal, else one now and then.

    Args:
        out: where to show it; `None` for nowhere.
        health: of the model that answers; `None` if nothing watches it.
    """

    def __init__(self, out: TextIO | None, health: Callable[[], Health] | None = None) -> None:
        self._out = out
        self._health = health
        self._moves = out is not None and out.isatty()
        self._given: deque[float] = deque(maxlen=_WINDOW)
        self._answer_ms: deque[float] = deque(maxlen=_WINDOW)
        self._age_ms: deque[float] = deque(maxlen=_WINDOW)
        self._began = time.monotonic()
        self._shown = self._began
        self._all = 0

    def add(self, result: StreamResult[Any]) -> None:
        """Count a result."""
        now, times = time.monotonic(), result.times
        self._all += 1
        self._given.append(now)
        self._answer_ms.append(times.preprocess_ms + times.inference_ms + times.postprocess_ms)
        self._age_ms.append(result.age_ms)

    def is_due(self) -> bool:
        """True if the line should be shown again."""
        pause = _SECONDS_BETWEEN_MOVES if self._moves else _SECONDS_BETWEEN_LINES
        return self._out is not None and time.monotonic() - self._shown >= pause

    def show(self, counters: StreamCounters) -> None:
        """Show the line."""
        self._shown = time.monotonic()
        if self._out is not None:
            text = one_line(self._text(counters))
            self._out.write(f"\r{text}\x1b[K" if self._moves else f"{text}\n")
            self._out.flush()

    def end(self, counters: StreamCounters) -> None:
        """Show the line for the last time, over the whole stream; without a frame, the error says all."""
        if self._out is not None and counters.captured:
            text = f"{self._all / max(1e-9, time.monotonic() - self._began):.1f} fps over all; "
            self._out.write(
                ("\r\x1b[K" if self._moves else "") + one_line(text + self._text(counters)) + "\n"
            )
            self._out.flush()

    def _text(self, counters: StreamCounters) -> str:
        span = self._given[-1] - self._given[0] if len(self._given) > 1 else 0.0
        fps = f"{(len(self._given) - 1) / span:.1f} fps" if span > 0 else "… fps"
        parts = [fps, _percentiles("answer", self._answer_ms), _percentiles("age", self._age_ms)]
        parts.append(f"{counters.answered} of {counters.captured} frames")
        states = (("stale", counters.stale), ("abstained", counters.abstained), ("failed", counters.failed))
        parts += [f"{count} {name}" for name, count in states if count]
        if counters.dropped:
            causes = ", ".join(f"{cause} {count}" for cause, count in sorted(counters.dropped.items()))
            parts.append(f"dropped: {causes}")
        if counters.reconnects:
            parts.append(f"{counters.reconnects} reconnects")
        if self._health is not None:
            health = self._health()
            parts.append(f"health {health}" + (f", {health.restarts} restarts" if health.restarts else ""))
        return " · ".join(parts)


def _percentiles(name: str, values: deque[float]) -> str:
    if not values:
        return f"{name} …"
    middle, high = np.percentile(values, (50, 99))
    return f"{name} p50 {middle:.1f} p99 {high:.1f} ms"


def stream_line(quiet: bool, health: Callable[[], Health] | None = None) -> StreamLine:
    """The line on stderr, or nowhere."""
    return StreamLine(None if quiet else sys.stderr, health)
