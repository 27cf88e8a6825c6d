"""Streams that share one session take turns on its device."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from itertools import count
from threading import Lock
from types import TracebackType
from weakref import WeakKeyDictionary

from edgevision.session import CheckedSession
from edgevision.system.clock import Clock, Condition
from edgevision.system.cores import cores


class Turns:
    """Lets some runs begin at a time; of the streams that wait, the one whose last turn is longest ago.

    Args:
        clock: for waits.
        places: how many runs may be in progress at once.
        crowd: how many streams keep all cores busy with one thread each; `None` if no number does.
    """

    def __init__(self, clock: Clock, places: int, crowd: int | None = None) -> None:
        self._clock = clock
        self._lock = clock.condition()
        self._free = places
        self._count = count(1)
        self._last: dict[Hashable, int] = {}
        self._waiting: list[_Turn] = []
        self._crowd = crowd
        self._recent: deque[Hashable] = deque(maxlen=2 * (crowd or 0))

    def turn(self, stream: Hashable) -> _Turn:
        """Wait for a place on entering, and hold it until the block ends."""
        return _Turn(self, stream)

    def is_crowded(self) -> bool:
        """True while so many streams take turns that a second thread of one would wait for a core."""
        with self._lock:
            return self._crowd is not None and len(set(self._recent)) >= self._crowd

    def leave(self, stream: Hashable) -> None:
        """Forget a stream that is closed."""
        with self._lock:
            self._last.pop(stream, None)
            while stream in self._recent:
                self._recent.remove(stream)

    def _begin(self, turn: _Turn) -> None:
        with self._lock:
            if self._free < 1 or self._waiting:
                self._wait(turn)
            self._free -= 1
            self._last[turn.stream] = next(self._count)
            self._recent.append(turn.stream)
            self._wake_first()  # more than one place may have become free

    def _wait(self, turn: _Turn) -> None:
        # A condition for each: one that all wait on would wake every thread of every stream at every turn.
        turn.number = next(self._count)
        turn.changed = changed = self._clock.condition(self._lock)
        self._waiting.append(turn)
        try:
            while self._free < 1 or self._first() is not turn:
                changed.wait()
        except BaseException:
            self._waiting.remove(turn)
            self._wake_first()
            raise
        self._waiting.remove(turn)

    def _end(self) -> None:
        with self._lock:
            self._free += 1
            self._wake_first()

    def _wake_first(self) -> None:
        if self._free and self._waiting:
            self._first().wake()

    def _first(self) -> _Turn:
        return min(self._waiting, key=lambda turn: (self._last.get(turn.stream, 0), turn.number))


class _Turn:
    """One turn of a stream. A class, because `contextlib.contextmanager` costs 2 µs more per frame."""

    __slots__ = ("_turns", "changed", "number", "stream")

    def __init__(self, turns: Turns, stream: Hashable) -> None:
        self.stream = stream
        self.number = 0
        self.changed: Condition | None = None  # while it waits
        self._turns = turns

    def __enter__(self) -> None:
        self._turns._begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns._end()

    def wake(self) -> None:
        if self.changed is not None:
            self.changed.notify()


_turns: WeakKeyDictionary[CheckedSession, Turns] = WeakKeyDictionary()
_lock = Lock()


def places_of(session: CheckedSession) -> int:
    """How many runs of a session use its device well at once.

    One on an accelerator, and one where the runtime chooses its threads itself, for it may use all cores;
    where the threads of a call are known, as many as the cores have room for.
    """
    if session.device != "cpu" or session.call_threads is None:
        return 1
    return max(1, cores() // session.call_threads)


def turns_of(session: CheckedSession, clock: Clock) -> Turns:
    """The turns that all streams of a session take."""
    with _lock:
        if session not in _turns:
            places, crowd = places_of(session), max(2, cores()) if session.device == "cpu" else None
            # One more than the cores have room for: or one idles while a turn passes from thread to thread.
            _turns[session] = Turns(clock, places + (places > 1), crowd)
        return _turns[session]
