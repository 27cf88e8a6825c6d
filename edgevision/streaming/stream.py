"""A stream: frames and results, one after the other, from threads that end with it."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from edgevision.errors import ForkedSessionError, OptionError, StreamError
from edgevision.frame_source import FrameReader
from edgevision.observation import StreamEvent
from edgevision.session import CheckedSession
from edgevision.streaming.call_arguments import CallArguments
from edgevision.streaming.capture import Capture
from edgevision.streaming.exchange import Answered, Exchange
from edgevision.streaming.policy import Policy
from edgevision.streaming.records import StreamCounters, run_facts
from edgevision.streaming.settings import StreamSettings
from edgevision.streaming.telling import Teller
from edgevision.streaming.turns import places_of, turns_of
from edgevision.streaming.worker import Answering, Worker
from edgevision.system.clock import Clock, Running
from edgevision.system.log import warning

ResultT = TypeVar("ResultT")

#: Seconds for threads to end: a frame that is being inferred is finished first.
_JOIN_S = 5.0
#: And for the source's: a camera's next frame is near, and a driver that hangs is not waited for.
_READER_JOIN_S = 2.0


class StreamedModel(Protocol):
    """As much of a model as a stream needs to know."""

    @property
    def session(self) -> CheckedSession:
        """Whose device streams take turns on."""
        ...

    @property
    def bundle_digest(self) -> str | None:
        """Of its bundle, for the results."""
        ...


class Stream(Generic[ResultT]):
    """Frames with their results, in the order of the frames, for ``for`` and ``async for``.

    The source is opened, and threads are started, when the first frame is asked for. They end when the loop
    is left in any way: at its end, by ``break``, an exception or Ctrl-C; by `close`, the end of a ``with``
    block, or when nobody holds the stream any more. A stream runs once.

    Attributes:
        counters: numbers of frames, at any time, also after the end.
        events: what happened to the source: opened, lost, reconnected, damaged and so on; the latest 1000.
        policy: name of the drop policy; that of the source is known once it is open.
        call: arguments of each call of the model, at this time.
    """

    def __init__(self, run: StreamRun[ResultT], call: CallArguments) -> None:
        self._run = run
        self._call = call
        # The threads hold the run, and never the stream itself: so it can disappear, and they end.
        self._finalizer = weakref.finalize(self, self._run.close)

    @property
    def counters(self) -> StreamCounters:
        """As the class says."""
        return self._run.exchange.counters()

    @property
    def events(self) -> tuple[StreamEvent, ...]:
        """As the class says."""
        return tuple(self._run.exchange.events)

    @property
    def policy(self) -> str:
        """As the class says."""
        return self._run.exchange.policy.name

    @property
    def call(self) -> Mapping[str, Any]:
        """As the class says."""
        return self._call.current

    def change_call(self, **arguments: Any) -> None:
        """Change arguments of each call, such as ``score_threshold=0.4``, for the frames to come.

        May be called from any thread.

        Raises:
            OptionError: the model does not take such an argument, or not this value; nothing is changed.
        """
        self._call.change(arguments)

    def __iter__(self) -> Iterator[Answered[ResultT]]:
        self._run.start()
        try:
            while (answered := self._run.next()) is not None:
                yield answered
        finally:
            self.close()

    def __aiter__(self) -> AsyncIterator[Answered[ResultT]]:
        # asyncio takes longer to import than all else together.
        from edgevision.streaming.async_answers import AsyncAnswers

        self._run.start()
        return AsyncAnswers(self._run.poll, self.close)

    def close(self) -> None:
        """End the threads and release the source; may be called twice, and from any thread."""
        self._run.close()

    def __enter__(self) -> Stream[ResultT]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StreamRun(Generic[ResultT]):
    """Threads of a stream, and all that they share.

    Args:
        open_reader: opens the source.
        answering: makes a worker's function that answers.
        model: that answers.
        policy: `None` for the one that suits the source.
        limits_ms: the highest age of a frame, and the deadline of a result.
        settings: time limits, and the number of workers.
        clock: for all times and threads.
    """

    def __init__(
        self,
        open_reader: Callable[[], FrameReader],
        answering: Answering[ResultT],
        model: StreamedModel,
        policy: Policy | None,
        limits_ms: tuple[float | None, float | None],
        settings: StreamSettings,
        clock: Clock,
    ) -> None:
        session, self._teller = model.session, Teller(model)
        at_once = None if settings.workers is None else int(settings.workers)
        places = at_once or places_of(session)
        workers = at_once or places + 1  # so that preprocessing goes on during inference
        self.exchange: Exchange[ResultT] = Exchange(clock, workers, places, self._teller, *limits_ms)
        self._turns = turns_of(session, clock)
        run = run_facts(model)
        own, *self._workers = (
            Worker(self.exchange, answering, self._turns, self, run) for _ in range(workers + 1)
        )
        self._capture = Capture(open_reader, self.exchange, policy, settings, own, self._turns)
        self._threads: list[Running] = []
        self._process = 0
        self._left = False  # by its threads, or by those who wait for them

    def start(self) -> None:
        """Start the threads."""
        if self._process or self.exchange.closed:
            raise OptionError("this stream has run; call model.stream(…) again")
        self._process = os.getpid()
        clock = self.exchange.clock
        try:
            for worker in self._workers:
                self._threads.append(clock.start(worker.run, "edgevision-work"))
            self._threads.append(clock.start(self._capture.run, "edgevision-watch"))
        except StreamError:
            self.close()
            raise

    def next(self) -> Answered[ResultT] | None:
        """As `Exchange.next`."""
        self._check_process()
        answered = self.exchange.next()
        self._tell(answered)
        return answered

    def poll(self, listener: Callable[[], None]) -> Answered[ResultT] | bool:
        """As `Exchange.poll`."""
        self._check_process()
        found = self.exchange.poll(listener)
        self._tell(found)
        return found

    def _tell(self, found: Answered[ResultT] | bool | None) -> None:
        """Tell the observers, in the consumer's thread, of what it is given."""
        self.exchange.tell_dropped()
        if isinstance(found, tuple):
            self._teller.answered(*found)

    def close(self) -> None:
        """End the threads, and wait for them."""
        if self._process not in (0, os.getpid()):  # a thread of the parent may hold the condition
            return
        self.exchange.close()
        if self._left:
            return
        for thread in self._threads:  # also by a second thread that closes: it may rely on their end, too
            thread.join(_JOIN_S)
        limit_s = _JOIN_S if self._capture.answering else _READER_JOIN_S
        if not (self._capture.join(limit_s) or self._capture.answering or self._left):
            left_behind = "the source does not return from a call; its thread is left behind"
            self.exchange.tell("stuck", left_behind)
            warning("%s", left_behind)
        self._turns.leave(self)
        self.exchange.tell_dropped()
        self._left = True

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ForkedSessionError("this stream was started before this process was forked; start it here")
