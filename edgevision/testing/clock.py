"""Simulated time: threads take turns, and time passes when all of them wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType

from edgevision.system.clock import Condition, Instant, Running

_NS_PER_S = 1_000_000_000
#: In real time: a thread that is not given its turn for so long never will be.
_STUCK_S = 60.0


class SimulatedClock:
    """A `edgevision.system.clock.Clock` on which minutes pass in milliseconds, in the same order every time.

    One thread runs at a time: the one that created the clock, or one that the clock started. When it waits,
    the next one that is ready runs; when none is, time moves to the earliest end of a wait.

    Args:
        wall_ns: the wall time at the start.

    Attributes:
        alive: number of threads that were started and have not ended.

    Example::

        clock = SimulatedClock()
        clock.sleep(600)
        print(clock.monotonic_ns())  # 600000000000, at once
    """

    def __init__(self, wall_ns: int = 1_800_000_000 * _NS_PER_S) -> None:
        self.alive = 0
        self._now_ns = 0
        self._wall_offset_ns = wall_ns
        self._ready: deque[_Waiter] = deque()
        self._waiting: list[_Waiter] = []

    def now(self) -> Instant:
        """As `Clock.now`."""
        return Instant(self._now_ns, self._now_ns + self._wall_offset_ns)

    def monotonic_ns(self) -> int:
        """As `Clock.monotonic_ns`."""
        return self._now_ns

    def set_wall_forward(self, seconds: float) -> None:
        """Set the wall clock, as NTP or a person does; negative seconds set it back."""
        self._wall_offset_ns += round(seconds * _NS_PER_S)

    def sleep(self, seconds: float) -> None:
        """As `Clock.sleep`."""
        self._block(_Waiter(self._now_ns + max(0, round(seconds * _NS_PER_S))))

    def condition(self, sharing: Condition | None = None) -> Condition:
        """As `Clock.condition`."""
        return _SimulatedCondition(self)

    def start(self, target: Callable[[], None], name: str) -> Running:
        """As `Clock.start`."""
        thread = _SimulatedThread(self, target, name)
        self.alive += 1
        self._ready.append(thread.first_turn)
        return thread

    def _block(self, waiter: _Waiter) -> None:
        """Let others run until it is this waiter's turn."""
        self._waiting.append(waiter)
        self._give_turn()
        waiter.wait()

    def _wake(self, waiter: _Waiter) -> None:
        self._waiting.remove(waiter)
        self._ready.append(waiter)

    def _give_turn(self) -> None:
        if not self._ready:
            timed = [waiter for waiter in self._waiting if waiter.until_ns is not None]
            if not timed:
                for waiter in self._waiting:
                    waiter.refuse()
                return
            first = min(timed, key=lambda waiter: waiter.until_ns or 0)
            self._now_ns = max(self._now_ns, first.until_ns or 0)
            self._wake(first)
        self._ready.popleft().turn.set()

    def _ended(self) -> None:
        self.alive -= 1
        if self._ready or self._waiting:
            self._give_turn()


class _Waiter:
    def __init__(self, until_ns: int | None = None) -> None:
        self.until_ns = until_ns
        self.turn = threading.Event()
        self._refused = False

    def wait(self) -> None:
        if not self.turn.wait(_STUCK_S) or self._refused:
            raise AssertionError("simulated clock: all threads wait for one another, so time cannot pass")

    def refuse(self) -> None:
        self._refused = True
        self.turn.set()


class _SimulatedCondition:
    """Needs no lock: one thread runs at a time."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._waiters: list[_Waiter] = []

    def __enter__(self) -> bool:
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def wait(self, timeout_s: float | None = None) -> None:
        until = None if timeout_s is None else self._clock.monotonic_ns() + round(timeout_s * _NS_PER_S)
        waiter = _Waiter(until)
        self._waiters.append(waiter)
        try:
            self._clock._block(waiter)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def notify(self) -> None:
        while self._waiters:
            waiter = self._waiters.pop(0)
            if waiter in self._clock._waiting:  # and not at the end of its time already
                self._clock._wake(waiter)
                return

    def notify_all(self) -> None:
        while self._waiters:
            self.notify()


class _SimulatedThread:
    def __init__(self, clock: SimulatedClock, target: Callable[[], None], name: str) -> None:
        self.first_turn = _Waiter()
        self._clock = clock
        self._target = target
        self._ended = False
        self._end = clock.condition()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        self.first_turn.wait()
        try:
            self._target()
        finally:
            self._ended = True
            self._end.notify_all()
            self._clock._ended()

    def join(self, timeout_s: float) -> bool:
        until_ns = self._clock.monotonic_ns() + round(timeout_s * _NS_PER_S)
        while not self._ended and (left_ns := until_ns - self._clock.monotonic_ns()) > 0:
            self._end.wait(left_ns / _NS_PER_S)
        return self._ended
