"""Where a stream's threads meet: frames go in by a policy, results come out in order, and all is counted.

One lock guards everything: a frame is at every moment in one place, so that the counters add up. Each kind of
thread has its own condition on it, and is woken for what it waits for alone: every other wake-up takes a core
from inference.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from edgevision.errors import EdgeVisionError, first_line
from edgevision.imaging.frame import Frame
from edgevision.observation import StreamEvent
from edgevision.streaming.policy import WAIT, Policy
from edgevision.streaming.records import (
    ABSTAINED,
    DAMAGED_EVENT,
    FAILED,
    OK,
    STALE,
    DropCause,
    StreamCounters,
    StreamFrame,
    StreamResult,
)
from edgevision.streaming.telling import Teller, facts_of
from edgevision.system.clock import Clock, Instant

ResultT = TypeVar("ResultT")
#: A frame and its result.
Answered = tuple[StreamFrame, StreamResult[ResultT]]
#: Adds to a result what depends on the results before it, such as the ids of objects.
Follow = Callable[[StreamFrame, ResultT, Policy], ResultT]

_NS_PER_MS = 1_000_000
#: Events are rare; those of a source that comes and goes all day must not fill the memory.
_KEPT_EVENTS = 1000


class Exchange(Generic[ResultT]):
    """Frames and results of one stream on their way between its threads.

    Args:
        clock: for ages and waits.
        workers: how many frames may be worked on at once.
        places: likewise where the newest result counts: a frame that is preprocessed ahead of its turn would
            be older than another one when its turn comes.
        teller: tells observers of dropped frames.
        max_age_ms: a frame that is older is not answered, and an answer about it is not given.
        deadline_ms: a result whose frame is older when it is given is stale.

    Attributes:
        policy: set when the source is open, for it depends on the source.
        gate: called with each frame in their order, by the source's thread: why it is not answered, or an
            empty text; or `None`.
        follow: called with each answer in the order of the frames, by the consumer's thread; or `None`.
        events: the latest ones.
        reconnects: how often a lost source came back.
        changed: the lock, and the condition of whoever watches the source.
    """

    def __init__(
        self,
        clock: Clock,
        workers: int,
        places: int,
        teller: Teller,
        max_age_ms: float | None = None,
        deadline_ms: float | None = None,
    ) -> None:
        self.clock = clock
        self.policy: Policy = WAIT
        self.gate: Callable[[Frame], str] | None = None
        self.follow: Follow[ResultT] | None = None
        self.events: deque[StreamEvent] = deque(maxlen=_KEPT_EVENTS)
        self.reconnects = 0
        self.changed = clock.condition()
        self._has_room = clock.condition(self.changed)  # for a frame of the source
        self._has_work = clock.condition(self.changed)  # for a worker
        self._has_result = clock.condition(self.changed)  # for the consumer
        self.closed = False
        self._workers = workers
        self._places = places
        self._teller = teller
        self._untold: deque[tuple[str, dict[str, Any], Frame | None]] = deque()
        self._working = 0  # frames that workers took and did not deliver
        self._max_age_ms = max_age_ms
        self._deadline_ms = deadline_ms
        self._waiting: deque[StreamFrame] = deque()
        self._taken = 0  # frames that workers took
        self._next = 0  # of those, the one whose result comes next
        self._results: dict[int, tuple[StreamFrame, StreamResult[ResultT]]] = {}
        self._ended = False
        self._error: Exception | None = None
        self._captured = 0
        self._states: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._listener: Callable[[], None] | None = None

    # The source's side

    def offer(self, frame: StreamFrame) -> bool:
        """Add a captured frame by the policy, waiting for room where that says so; False once closed."""
        with self.changed:
            self._captured += 1
            while not self.policy.drops and len(self._waiting) >= self.policy.waiting and not self.closed:
                self._has_room.wait()
            if self.closed:
                self._drop(frame, DropCause.CLOSED)
                return False
            while len(self._waiting) >= self.policy.waiting:
                cause = DropCause.NEWER_FRAME if self.policy.newest_result else DropCause.QUEUE_FULL
                self._drop(self._waiting.popleft(), cause)
            self._waiting.append(frame)
            self._has_work.notify()
            return True

    def take_own(self, frame: StreamFrame) -> int | None:
        """Count a captured frame and take it, for the source's own thread to answer, after those before it.

        Returns:
            Its place in the order of results; `None` where there is no room for its result, or the stream is
            closed: nothing is counted, and it is to be offered.
        """
        with self.changed:
            while self._waiting and not self.closed:
                self._has_room.wait()
            if self.closed or not self._may_take():
                return None
            self._captured += 1
            return self._place()

    def drop_damaged(self, index: int, source: str, captured_at: Instant, message: str) -> None:
        """Count a captured frame that cannot be used."""
        with self.changed:
            self._captured += 1
            self._dropped[DropCause.DAMAGED] += 1
            if self._teller.listening:
                facts = {**facts_of(index, source, captured_at), "damage": message}
                self._untold.append((DropCause.DAMAGED, facts, None))
        self.tell(DAMAGED_EVENT, message)

    def end(self, error: Exception | None = None) -> None:
        """No more frames come: the source ended, or `error` is raised after the results that are due."""
        with self.changed:
            self._ended = True
            self._error = self._error or error
            self._has_work.notify_all()
            self._wake_consumer()

    def tell(self, kind: str, message: str) -> None:
        """Record an event, and tell the observers: by a thread that does not hold the condition."""
        event = StreamEvent(self.clock.now(), kind, message)
        self.events.append(event)
        if kind != DAMAGED_EVENT:  # which they get with its frame
            self._teller.happened(event)

    # The workers' side

    def take(self) -> tuple[int, StreamFrame] | None:
        """The next frame that is young enough, with its place in the order of results; `None` at the end."""
        with self.changed:
            while not self.closed:
                frame = self._young_enough() if self._may_take() else None
                if self._ended and not self._waiting:  # the others, too, have nothing to wait for
                    self._has_work.notify_all()
                    if frame is None:
                        break
                if frame is not None:
                    return self._place(), frame
                self._has_work.wait()
            return None

    def deliver(self, place: int, frame: StreamFrame, result: StreamResult[ResultT]) -> None:
        """Add the result of a frame that was taken."""
        with self.changed:
            self._working -= 1
            if self.closed:
                self._drop(frame, DropCause.CLOSED)
                return
            if place < self._next:  # under `latest`, a newer one was given already
                self._drop(frame, DropCause.NEWER_RESULT)
                self._wake_consumer()  # that may have been the last one
                return
            if self.policy.newest_result:
                for older, _ in self._results.values():
                    self._drop(older, DropCause.NEWER_RESULT)
                self._results.clear()
                self._next = place
            self._results[place] = frame, result
            if place == self._next:
                self._wake_consumer()

    # The consumer's side

    def next(self) -> Answered[ResultT] | None:
        """The next frame and result, waiting for it; `None` at the end.

        Raises:
            Exception: what ended the stream, once all results before it were given.
        """
        with self.changed:
            while (found := self._poll()) is None:
                if self._is_over():
                    self._finish()
                    return None
                self._has_result.wait()
        return self._given(*self._followed(*found))

    def poll(self, listener: Callable[[], None]) -> Answered[ResultT] | bool:
        """As `next`, without waiting: True at the end; False where `listener` will be called, later."""
        with self.changed:
            found = self._poll()
            if found is None:
                if self._is_over():
                    self._finish()
                    return True
                self._listener = listener
                return False
        return self._given(*self._followed(*found))

    def close(self, error: Exception | None = None) -> None:
        """Drop what is on its way, and let all waits end; the consumer gets `error`. May be called twice."""
        with self.changed:
            if self.closed:
                return
            self.closed = True
            self._error = error
            for frame in (*self._waiting, *(answered for answered, _ in self._results.values())):
                self._drop(frame, DropCause.CLOSED)
            self._waiting.clear()
            self._results.clear()
            for condition in (self.changed, self._has_room, self._has_work):
                condition.notify_all()
            self._wake_consumer()

    def tell_dropped(self) -> None:
        """Tell the observers of what was dropped meanwhile: by a thread that does not hold the condition."""
        while self._untold:
            try:
                told = self._untold.popleft()
            except IndexError:  # another thread tells of the last one
                return
            self._teller.dropped(*told)

    def counters(self) -> StreamCounters:
        """The present numbers."""
        with self.changed:
            return StreamCounters(
                self._captured,
                sum(self._states.values()),
                dict(+self._dropped),
                stale=self._states[STALE],
                abstained=self._states[ABSTAINED],
                failed=self._states[FAILED],
                reconnects=self.reconnects,
                in_progress=self._in_progress(),
            )

    def _drop(self, frame: StreamFrame, cause: str) -> None:
        self._dropped[cause] += 1
        if self._teller.listening:
            facts = facts_of(frame.index, frame.source, frame.captured_at)
            self._untold.append((cause, facts, frame.image))

    def _place(self) -> int:
        """Of a frame that is taken now, in the order of results."""
        place, self._taken = self._taken, self._taken + 1
        self._working += 1
        return place

    def _may_take(self) -> bool:
        """True if there is room for one more result: each worker's, and one that waits for the consumer."""
        if self.policy.newest_result:
            return self._working < self._places
        return self._taken - self._next <= self._workers

    def _young_enough(self) -> StreamFrame | None:
        while self._waiting:
            frame = self._waiting.popleft()
            self._has_room.notify()
            if not self._is_too_old(frame):
                return frame
            self._drop(frame, DropCause.TOO_OLD)
            self._wake_consumer()  # that may have been the last one
        return None

    def _is_too_old(self, frame: StreamFrame) -> bool:
        return self._max_age_ms is not None and frame.age_ms > self._max_age_ms

    def _poll(self) -> Answered[ResultT] | None:
        while self._next in self._results:
            frame, result = self._results.pop(self._next)
            self._next += 1
            if self._waiting:  # for room for its result
                self._has_work.notify()
            if not self._is_too_old(frame):
                return frame, result
            self._drop(frame, DropCause.TOO_OLD)
        return None

    def _followed(self, frame: StreamFrame, result: StreamResult[ResultT]) -> Answered[ResultT]:
        """Not under the lock: capturing and inference go on."""
        if self.follow is None or result.state != OK:
            return frame, result
        try:
            return frame, replace(result, _value=self.follow(frame, result.value, self.policy))
        except EdgeVisionError as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            return frame, replace(result, state=FAILED, reason=reason, error=error, _value=None)

    def _given(self, frame: StreamFrame, result: StreamResult[ResultT]) -> Answered[ResultT]:
        age_ms = frame.age_ms
        times = result.times
        times = times._replace(delivery_ms=age_ms - sum(times[1:]))
        state, reason = result.state, result.reason
        if state == OK and self._deadline_ms is not None and age_ms > self._deadline_ms:
            state = STALE
            reason = f"the frame is {age_ms:.1f} ms old, and the deadline is {self._deadline_ms:g} ms"
        with self.changed:
            self._states[state] += 1
        return frame, replace(result, state=state, reason=reason, age_ms=age_ms, times=times)

    def _is_over(self) -> bool:
        return self.closed or (self._ended and self._in_progress() == 0)

    def _in_progress(self) -> int:
        return self._captured - sum(self._states.values()) - sum(self._dropped.values())

    def _finish(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _wake_consumer(self) -> None:
        """Let the consumer look again, once the caller has released the lock."""
        self._has_result.notify_all()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener()
