"""Where many streams share a model, the source's own thread answers: no frame passes between cores."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from typing import Any

import pytest

from edgevision.errors import SessionClosedError
from edgevision.testing import SimulatedClock
from streaming.simulated import camera, model_on, number_of, numbered

FRAMES, STREAMS = 60, 4


class Answerers:
    """Kinds of the threads that answered frames: ``read`` or ``work``, and how many each answered."""

    def __init__(self) -> None:
        self.threads: Counter[str] = Counter()

    def note(self, number: int) -> None:
        self.threads[threading.current_thread().name.rpartition("-")[2]] += 1


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.streaming.turns.cores", lambda: 2)


def run_at_once(clock: SimulatedClock, streams: list[Any]) -> list[list[int]]:
    """Numbers of the images whose results each stream gave."""
    found: list[list[int]] = [[] for _ in streams]

    def consume(place: int) -> None:
        for _, result in streams[place]:
            found[place].append(number_of(result))

    threads = [clock.start(lambda place=place: consume(place), "consumer") for place in range(len(streams))]
    assert {thread.join(100) for thread in threads} == {True}
    return found


def test_frames_of_recordings_are_answered_where_they_are_read_and_stay_in_order() -> None:
    clock, answerers = SimulatedClock(), Answerers()
    model = model_on(clock, 0.01, answerers.note)
    streams = [model.stream(map(numbered, range(FRAMES)), clock=clock) for _ in range(STREAMS)]
    assert run_at_once(clock, streams) == [list(range(FRAMES))] * STREAMS
    assert answerers.threads["read"] > 0.8 * FRAMES * STREAMS
    for stream in streams:
        assert (stream.counters.captured, stream.counters.answered) == (FRAMES, FRAMES)


def test_the_last_of_them_has_all_cores_again() -> None:
    """One stream has four times as many frames: once it is alone, its frames are answered beside reading."""
    clock, answerers = SimulatedClock(), Answerers()
    model = model_on(clock, 0.01, answerers.note)
    lengths = [FRAMES, 4 * FRAMES]
    streams = [model.stream(map(numbered, range(length)), clock=clock) for length in lengths]
    assert run_at_once(clock, streams) == [list(range(length)) for length in lengths]
    assert answerers.threads["work"] > 2 * FRAMES
    assert answerers.threads["read"] > FRAMES


@pytest.mark.parametrize("policy", ["latest", "queue(3)"])
def test_a_source_that_must_not_wait_is_read_all_the_time(policy: str) -> None:
    clock, answerers = SimulatedClock(), Answerers()
    model = model_on(clock, 0.01, answerers.note)
    run_at_once(clock, [model.stream(camera(clock, FRAMES), policy, clock=clock) for _ in range(STREAMS)])
    assert set(answerers.threads) == {"work"}


def test_a_stream_is_left_while_its_source_answers() -> None:
    clock = SimulatedClock()
    model = model_on(clock, 3.0)  # longer than a source's thread is waited for that does not return
    streams = [model.stream(map(numbered, range(FRAMES)), clock=clock) for _ in range(STREAMS)]

    def leave(place: int) -> None:
        for frame, _ in streams[place]:
            if frame.index == 20:
                break

    threads = [clock.start(lambda place=place: leave(place), "consumer") for place in range(STREAMS)]
    assert {thread.join(10_000) for thread in threads} == {True}
    for stream in streams:
        assert "stuck" not in {event.kind for event in stream.events}
        assert stream.counters.in_progress == 0


def test_turns_forget_a_stream_that_has_ended() -> None:
    """A stream refers to its session, which its turns must not keep alive."""
    clock = SimulatedClock()
    model = model_on(clock, 0.01)
    run_at_once(clock, [model.stream(map(numbered, range(9)), clock=clock) for _ in range(STREAMS)])
    session = weakref.ref(model.session)
    del model
    gc.collect()
    assert session() is None


def test_a_model_that_is_closed_ends_streams_whose_source_answers() -> None:
    clock, ended = SimulatedClock(), []
    model = model_on(clock, 0.01, lambda number: model.close() if number == 40 else None)
    streams = [model.stream(map(numbered, range(FRAMES)), clock=clock) for _ in range(STREAMS)]

    def consume(place: int) -> None:
        try:
            for _ in streams[place]:
                pass
        except SessionClosedError:
            ended.append(place)

    threads = [clock.start(lambda place=place: consume(place), "consumer") for place in range(STREAMS)]
    assert {thread.join(100) for thread in threads} == {True}
    assert sorted(ended) == list(range(STREAMS))
