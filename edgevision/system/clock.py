"""Time and threads behind one interface, so that tests can simulate both.

Whatever waits, sleeps or starts a thread by a `Clock` runs unchanged on `edgevision.testing.SimulatedClock`,
where minutes pass in milliseconds and in the same order every time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from types import TracebackType
from typing import NamedTuple, Protocol, runtime_checkable

from edgevision.errors import StreamError

#: The longest wait between two looks at signals: one that arrives just before a wait without an end is lost.
_SIGNALS_S = 0.5
_NS_PER_S = 1_000_000_000


class Instant(NamedTuple):
    """A point in time on two clocks.

    Attributes:
        monotonic_ns: never set, so that differences are durations; it starts anywhere.
        wall_ns: nanoseconds since 1970-01-01 UTC, as the system's clock says, which people and NTP set.
    """

    monotonic_ns: int
    wall_ns: int

    def iso(self) -> str:
        """The wall time, such as ``2026-11-26T10:40:29.123456+00:00``."""
        seconds, rest = divmod(self.wall_ns, _NS_PER_S)
        at = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)
        return at.isoformat(timespec="microseconds")


class Condition(Protocol):
    """As `threading.Condition`, where a wait may also end without a reason."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def wait(self, timeout_s: float | None = None) -> None:
        """Release the lock until notified, until the time is over, or until some earlier moment."""
        ...

    def notify(self) -> None:
        """Wake one that waits, if any does."""
        ...

    def notify_all(self) -> None:
        """Wake all that wait."""
        ...


class Running(Protocol):
    """A thread that was started."""

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; False if it still runs after `timeout_s`."""
        ...


@runtime_checkable
class Clock(Protocol):
    """The time, and what depends on it."""

    def now(self) -> Instant:
        """The present."""
        ...

    def monotonic_ns(self) -> int:
        """The present on the clock that is never set."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...

    def condition(self, sharing: Condition | None = None) -> Condition:
        """A condition whose waits end by this clock.

        Args:
            sharing: one of this clock whose lock the new one shares: so those who wait for different things
                are woken for their own alone.
        """
        ...

    def start(self, target: Callable[[], None], name: str) -> Running:
        """Start a daemon thread that runs `target`.

        Raises:
            StreamError: the system starts no more threads.
        """
        ...


class SystemClock:
    """The machine's own time and threads."""

    def now(self) -> Instant:
        """As `Clock.now`."""
        return Instant(time.monotonic_ns(), time.time_ns())

    def monotonic_ns(self) -> int:
        """As `Clock.monotonic_ns`."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """As `Clock.sleep`."""
        time.sleep(seconds)

    def condition(self, sharing: Condition | None = None) -> Condition:
        """As `Clock.condition`."""
        return _SystemCondition(sharing._lock if isinstance(sharing, _SystemCondition) else threading.RLock())

    def start(self, target: Callable[[], None], name: str) -> Running:
        """As `Clock.start`."""
        thread = threading.Thread(target=target, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise StreamError(f"the system starts no more threads ({error}); see: ulimit -u") from error
        return _SystemThread(thread)


class _SystemCondition:
    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._condition = threading.Condition(lock)
        self.notify = self._condition.notify
        self.notify_all = self._condition.notify_all

    def __enter__(self) -> bool:
        return self._condition.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._condition.__exit__(kind, error, trace)

    def wait(self, timeout_s: float | None = None) -> None:
        self._condition.wait(_SIGNALS_S if timeout_s is None else min(timeout_s, _SIGNALS_S))


class _SystemThread:
    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def join(self, timeout_s: float) -> bool:
        if self._thread is not threading.current_thread():  # which may be collecting garbage
            self._thread.join(timeout_s)
        return not self._thread.is_alive()
