"""Answers frames one after the other, and says where the time went."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from edgevision.backend import Slot
from edgevision.errors import (
    EdgeVisionError,
    ForkedSessionError,
    InferenceError,
    SessionClosedError,
    first_line,
)
from edgevision.imaging.frame import Frame
from edgevision.streaming.exchange import Exchange
from edgevision.streaming.records import (
    ABSTAINED,
    FAILED,
    OK,
    RunFacts,
    StageTimes,
    StreamFrame,
    StreamResult,
)
from edgevision.streaming.turns import Turns
from edgevision.system.clock import Clock
from edgevision.tensors import Array

ResultT = TypeVar("ResultT")
#: From a watch of slots to a function that answers a frame on slots that are watched.
Answering = Callable[[Callable[[Slot], Slot]], Callable[[Frame], ResultT]]

_NS_PER_MS = 1e6


class Worker(Generic[ResultT]):
    """Answers frames, on one thread at a time, and delivers the results.

    Args:
        exchange: of the stream.
        answering: makes the function that answers.
        turns: of the session.
        stream: identifies the stream among those that take turns.
        run: what answers, for the results.
    """

    def __init__(
        self,
        exchange: Exchange[ResultT],
        answering: Answering[ResultT],
        turns: Turns,
        stream: Hashable,
        run: RunFacts,
    ) -> None:
        self._exchange = exchange
        self._stages = _Stages(exchange.clock, turns, stream)
        self._answer = answering(self._stages.watch)
        self._run = run

    def run(self) -> None:
        """Take frames and answer them until the stream ends."""
        while (taken := self._exchange.take()) is not None:
            self.answer(*taken)

    def answer(self, place: int, frame: StreamFrame) -> None:
        """Answer a frame that was taken; what nothing can answer ends the stream."""
        try:
            self._exchange.deliver(place, frame, self._result(frame))
            self._exchange.tell_dropped()
        except (SessionClosedError, ForkedSessionError) as error:  # no later frame would fare better
            self._exchange.close(error)
        except BaseException as error:  # a fault of ours, or SystemExit in a plugin: nobody may wait for it
            self._exchange.close(error if isinstance(error, Exception) else SystemError(str(error)))

    def _result(self, frame: StreamFrame) -> StreamResult[ResultT]:
        self._stages.begin()
        if frame.refusal:
            times = self._stages.times(frame)
            return StreamResult(ABSTAINED, frame.refusal, None, frame.age_ms, times, self._run, None)
        value: ResultT | None = None
        error: EdgeVisionError | None = None
        try:
            value = self._answer(frame.image)
        except (SessionClosedError, ForkedSessionError):
            raise
        except EdgeVisionError as failure:
            error = failure
        except Exception as failure:  # of a plugin
            error = InferenceError(f"{type(failure).__name__}: {first_line(failure)}")
            error.__cause__ = failure
        times = self._stages.times(frame)
        state, reason = OK, ""
        if error is not None:
            state, reason = FAILED, f"{type(error).__name__}: {first_line(error)}"
        elif abstention := getattr(value, "abstention", ""):
            state, reason = ABSTAINED, abstention
        # Where fallbacks answer, it says which one did.
        run = getattr(self._answer, "run", None) or self._run
        return StreamResult(state, reason, error, frame.age_ms, times, run, value)


class _Stages:
    """Times the stages of one frame by what it does with its slots."""

    def __init__(self, clock: Clock, turns: Turns, stream: Hashable) -> None:
        self._clock = clock
        self._turns = turns
        self._stream = stream
        self._began_ns = self._ready_ns = self._ran_ns = 0
        self._turn_ns = self._inference_ns = 0

    def begin(self) -> None:
        """Begin with another frame."""
        self._began_ns = self._clock.monotonic_ns()
        self._ready_ns = self._ran_ns = self._turn_ns = self._inference_ns = 0

    def watch(self, slot: Slot) -> Slot:
        """A slot whose runs wait for their turn and are timed."""
        return _WatchedSlot(slot, self)

    def run(self, slot: Slot) -> dict[str, Array]:
        asked_ns = self._clock.monotonic_ns()
        self._ready_ns = self._ready_ns or asked_ns
        with self._turns.turn(self._stream):
            began_ns = self._clock.monotonic_ns()
            try:
                return slot.run()
            finally:
                self._ran_ns = self._clock.monotonic_ns()
                self._turn_ns += began_ns - asked_ns
                self._inference_ns += self._ran_ns - began_ns

    def times(self, frame: StreamFrame) -> StageTimes:
        """The times of the frame, now that it is answered."""
        now_ns = self._clock.monotonic_ns()
        ready_ns = self._ready_ns or now_ns  # it failed before its first run
        between_ns = (self._ran_ns or ready_ns) - ready_ns - self._turn_ns - self._inference_ns
        preprocess_ns = ready_ns - self._began_ns + between_ns
        return StageTimes(
            frame.capture_ms,
            (self._began_ns - frame.captured_at.monotonic_ns) / _NS_PER_MS,
            preprocess_ns / _NS_PER_MS,
            self._turn_ns / _NS_PER_MS,
            self._inference_ns / _NS_PER_MS,
            (now_ns - (self._ran_ns or ready_ns)) / _NS_PER_MS,
        )


class _WatchedSlot:
    def __init__(self, slot: Slot, stages: _Stages) -> None:
        self.inputs: Any = slot.inputs
        self._slot = slot
        self._stages = stages

    def run(self) -> dict[str, Array]:
        """As `Slot.run`."""
        return self._stages.run(self._slot)
