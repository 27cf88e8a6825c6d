"""Reads a source on a thread of its own, finds stalls, and reconnects.

A thread that hangs in a driver or a library cannot be ended. So one thread reads, and another one watches it:
after a stall the reader is abandoned, to end by itself if its call ever returns, and a new one is started.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from edgevision.errors import (
    EdgeVisionError,
    InputError,
    StreamBrokenError,
    StreamError,
    StreamLostError,
    first_line,
)
from edgevision.frame_source import CapturedImage, FrameReader
from edgevision.imaging.decode import as_frame
from edgevision.streaming.exchange import Exchange
from edgevision.streaming.policy import LATEST, WAIT, Policy
from edgevision.streaming.records import StreamFrame
from edgevision.streaming.settings import StreamSettings
from edgevision.streaming.turns import Turns
from edgevision.streaming.worker import Worker
from edgevision.system.clock import Running
from edgevision.system.credentials import without_credentials
from edgevision.system.log import warning

_NS_PER_S = 1e9
_NS_PER_MS = 1e6
#: Seconds before a lost source is tried again: twice as many after each try, up to the second number.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
#: Readers that hang: more would pile up where a driver never returns.
_MOST_HANGING = 3
#: Seconds without a frame after which a live source is lost, unless the settings say otherwise.
STALL_S = 2.0
#: A library's own limit for opening comes first: its error says more.
_OPEN_MARGIN_S = 1.0
#: Frames of a source of which none could be used: it may have no end.
_MOST_USELESS = 1000
#: The longest wait between two looks at a reader.
_LONGEST_LOOK_S = 60.0


class Capture:
    """The source's side of a stream.

    Args:
        open_reader: opens the source.
        exchange: takes the frames.
        policy: `None` for the one that suits the source: `latest` for live ones, else `wait`.
        settings: time limits.
        worker: answers frames of a recording on the source's own thread while the session is crowded.
        turns: of the session.

    Attributes:
        answering: True while the source's own thread answers a frame.
    """

    def __init__(
        self,
        open_reader: Callable[[], FrameReader],
        exchange: Exchange[Any],
        policy: Policy | None,
        settings: StreamSettings,
        worker: Worker[Any],
        turns: Turns,
    ) -> None:
        self._open = open_reader
        self._exchange = exchange
        self._clock = exchange.clock
        self._policy = policy
        self._settings = settings
        self._worker = worker
        self._turns = turns
        self._captured = 0
        self._damage = ""  # of the first damaged frame
        self._usable = False
        self._opened = False  # ever
        self._live = False
        self._thread: Running | None = None
        self._hanging: list[Running] = []
        self.answering = False

    def run(self) -> None:
        """Read until the source ends, is lost for good, or the stream is closed."""
        try:
            self._run()
        except Exception as error:  # the system starts no more threads: nobody may wait for frames
            self._exchange.close(error)

    def _run(self) -> None:
        exchange, tries, lost_at_ns = self._exchange, 0, self._clock.monotonic_ns()
        while True:
            attempt = _Attempt(self._open, self, self._settings)
            self._thread = self._clock.start(attempt.run, "edgevision-read")
            outcome = self._watch(attempt)
            if exchange.closed or outcome is None:
                exchange.tell("ended", f"{attempt.name}: ended")
                exchange.end(self._useless(attempt.name))
                return
            if attempt.frames:  # it was well in between
                tries, lost_at_ns = 0, self._clock.monotonic_ns()
            exchange.tell("broken" if isinstance(outcome, StreamBrokenError) else "lost", str(outcome))
            lost_s = (self._clock.monotonic_ns() - lost_at_ns) / _NS_PER_S
            if not self._may_return(outcome, lost_s):
                exchange.end(outcome)
                return
            if tries == 0:
                limit_s = self._settings.reconnect_s
                limit = "" if limit_s is None else f" for {float(limit_s):g} s"
                warning("%s; it is tried again%s", outcome, limit)
            self._pause(min(_FIRST_PAUSE_S * 2**tries, _LONGEST_PAUSE_S))
            tries += 1

    def join(self, timeout_s: float) -> bool:
        """Wait for the reader's end, after the exchange was closed; False if it hangs."""
        return self._thread is None or self._thread.join(timeout_s)

    def opened(self, reader: FrameReader) -> None:
        """Note what is known of the source once it is open."""
        with self._exchange.changed:  # another limit holds from now on
            self._opened, self._live = True, reader.live
            self._exchange.changed.notify_all()
        if self._captured == 0:
            self._exchange.policy = self._policy or (LATEST if reader.live else WAIT)
            self._exchange.tell("opened", f"{reader.name}: opened")

    def take_frame(self, attempt: _Attempt, captured: CapturedImage, started_ns: int) -> bool:
        """Hand one frame over; False when no more are wanted.

        Raises:
            StreamBrokenError: none of many frames could be used.
        """
        exchange, at = self._exchange, self._clock.now()
        with exchange.changed:
            if attempt.abandoned:
                return False
            attempt.frames += 1
            index, self._captured = self._captured, self._captured + 1
        if attempt.frames == 1 and index > 0:
            exchange.reconnects += 1
            exchange.tell("reconnected", f"{attempt.name}: delivers again")
            warning("%s: delivers again", attempt.name)
        name, image, damage = captured.name or attempt.name, None, captured.damage
        if not damage:
            try:
                image = as_frame(captured.image, captured.color)
            except InputError as error:
                damage = str(error)
        if image is None:
            message = f"{name}: frame {index}: {without_credentials(damage)}"
            if not self._damage:
                warning("%s; damaged frames are dropped and counted", message)
            self._damage = self._damage or damage
            exchange.drop_damaged(index, name, at, message)
            exchange.tell_dropped()
            if self._captured >= _MOST_USELESS and (useless := self._useless(attempt.name)) is not None:
                raise useless
            return not exchange.closed
        capture_ms = (at.monotonic_ns - started_ns) / _NS_PER_MS
        self._usable = True
        refusal = "" if exchange.gate is None else exchange.gate(image)
        frame = StreamFrame(index, at, captured.presentation_s, image, name, capture_ms, self._clock, refusal)
        if self._answered_here(frame):
            return not exchange.closed
        offered = exchange.offer(frame)
        exchange.tell_dropped()
        return offered

    def _answered_here(self, frame: StreamFrame) -> bool:
        """Answer a frame on the source's own thread, where that suits; False if it is to be offered.

        Where enough streams keep all cores busy, another thread is no faster: it would wait for a core, and
        find the frame in another core's cache. A live source cannot wait meanwhile.
        """
        if self._live or self._exchange.policy.drops or not self._turns.is_crowded():
            return False
        place = self._exchange.take_own(frame)
        if place is None:
            return False
        self.answering = True
        self._worker.answer(place, frame)
        self.answering = False
        return True

    def _useless(self, name: str) -> StreamBrokenError | None:
        """The error for a source that ended without one usable frame: nothing was looked at."""
        if self._usable or not self._damage:
            return None
        told = without_credentials(self._damage)
        return StreamBrokenError(f"{name}: none of {self._captured} frames could be used; the first: {told}")

    def _watch(self, attempt: _Attempt) -> EdgeVisionError | None:
        """Wait for the end of an attempt, or of its patience: `None` where the source ended."""
        with self._exchange.changed:
            while not (attempt.finished or self._exchange.closed):
                left_s = attempt.left_s(self._live, self._clock.monotonic_ns())
                if left_s <= 0:
                    attempt.abandoned = True
                    break
                self._exchange.changed.wait(left_s)
        if not attempt.abandoned:
            return attempt.outcome
        if self._thread is not None:
            self._hanging.append(self._thread)
        limit_s = attempt.limit_s(self._live)
        if attempt.opening:
            return StreamLostError(f"{attempt.name}: could not be opened within {limit_s:g} s")
        return StreamLostError(f"{attempt.name}: stalled: no frame for {limit_s:g} s")

    def _may_return(self, outcome: EdgeVisionError, lost_s: float) -> bool:
        """True if the source is tried again, for as long as was asked.

        That is one that is not there yet, such as a camera that starts after this machine, and a live one
        that was lost; if it had delivered, also one whose data is damaged.
        """
        self._hanging = [thread for thread in self._hanging if not thread.join(0.0)]
        can_come = (self._live or not self._opened) and isinstance(outcome, StreamLostError)
        was_there = self._live and self._captured > 0 and isinstance(outcome, StreamError)
        limit_s = self._settings.reconnect_s
        in_time = limit_s is None or lost_s < float(limit_s)
        return (can_come or was_there) and in_time and len(self._hanging) < _MOST_HANGING

    def _pause(self, seconds: float) -> None:
        until_ns = self._clock.monotonic_ns() + seconds * _NS_PER_S
        with self._exchange.changed:
            while not self._exchange.closed and (left := until_ns - self._clock.monotonic_ns()) > 0:
                self._exchange.changed.wait(left / _NS_PER_S)


class _Attempt:
    """One try to open a source and to read it to its end, on a thread of its own.

    Attributes:
        name: of the source, once it is open.
        opening: True until it is.
        frames: how many it delivered.
        finished, outcome: whether it ended by itself, and the error if it did not end well.
        abandoned: nobody waits for it any more.
    """

    def __init__(self, open_reader: Callable[[], FrameReader], capture: Capture, settings: StreamSettings):
        self.name = "source"
        self.opening = True
        self.frames = 0
        self.finished = False
        self.outcome: EdgeVisionError | None = None
        self.abandoned = False
        self._open = open_reader
        self._capture = capture
        self._exchange = capture._exchange
        self._settings = settings
        self._busy_since_ns: int | None = self._exchange.clock.monotonic_ns()

    def run(self) -> None:
        """Read to the end."""
        outcome: EdgeVisionError | None = None
        try:
            self._read()
        except EdgeVisionError as error:
            outcome = error
        except BaseException as error:  # of a plugin or the caller's iterator: SystemExit too ends only this
            told = without_credentials(f"{type(error).__name__}: {first_line(error)}")
            outcome = StreamBrokenError(f"{self.name}: {told}")
        with self._exchange.changed:
            self.finished, self.outcome = True, outcome
            self._exchange.changed.notify_all()

    def limit_s(self, live: bool) -> float:
        """The longest that opening, or one read, may take."""
        if self.opening:
            return float(self._settings.open_timeout_s) + _OPEN_MARGIN_S
        stall_s = self._settings.stall_s
        return float(stall_s) if stall_s is not None else STALL_S if live else math.inf

    def left_s(self, live: bool, now_ns: int) -> float:
        """Seconds of patience that are left."""
        limit_s = self.limit_s(live)
        busy_s = 0.0 if self._busy_since_ns is None else (now_ns - self._busy_since_ns) / _NS_PER_S
        return min(limit_s - busy_s, _LONGEST_LOOK_S)

    def _read(self) -> None:
        clock = self._exchange.clock
        reader = self._open()
        try:
            self.name, self.opening = reader.name, False
            self._capture.opened(reader)
            while not (self.abandoned or self._exchange.closed):
                self._busy_since_ns = started_ns = clock.monotonic_ns()
                captured = reader.read()
                self._busy_since_ns = None
                if captured is None or not self._capture.take_frame(self, captured, started_ns):
                    return
        finally:
            self._busy_since_ns = None
            reader.close()
