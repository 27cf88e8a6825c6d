"""Streams that share one session take turns on its device."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock
from weakref import WeakKeyDictionary

from edgevision.session import CheckedSession
from edgevision.system.clock import Clock
from edgevision.system.cores import cores


class Turns:
    """Lets some runs begin at a time; of the streams that wait, the one whose last turn is longest ago.

    Args:
        clock: for waits.
        places: how many runs may be in progress at once.
    """

    def __init__(self, clock: Clock, places: int) -> None:
        self._changed = clock.condition()
        self._free = places
        self._count = count(1)
        self._last: dict[Hashable, int] = {}
        self._waiting: list[tuple[int, Hashable]] = []  # (ticket, stream)

    @contextmanager
    def turn(self, stream: Hashable) -> Iterator[None]:
        """Wait for a place, and hold it until the block ends."""
        with self._changed:
            ticket = next(self._count), stream
            self._waiting.append(ticket)
            try:
                while self._free < 1 or self._first() != ticket:
                    self._changed.wait()
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            self._free -= 1
            self._last[stream] = next(self._count)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def leave(self, stream: Hashable) -> None:
        """Forget a stream that is closed."""
        with self._changed:
            self._last.pop(stream, None)

    def _first(self) -> tuple[int, Hashable]:
        return min(self._waiting, key=lambda ticket: (self._last.get(ticket[1], 0), ticket[0]))


_turns: WeakKeyDictionary[CheckedSession, Turns] = WeakKeyDictionary()
_lock = Lock()


def places_of(session: CheckedSession) -> int:
    """How many runs of a session use its device well at once.

    One on an accelerator, and one where the runtime chooses its threads itself, for it may use all cores;
    where the threads of a call are set, as many as the cores have room for.
    """
    if session.device != "cpu" or session.threads is None:
        return 1
    return max(1, cores() // session.threads)


def turns_of(session: CheckedSession, clock: Clock) -> Turns:
    """The turns that all streams of a session take."""
    with _lock:
        if session not in _turns:
            _turns[session] = Turns(clock, places_of(session))
        return _turns[session]
