"""A thread of a stream is woken for what it waits for alone: other wake-ups take a core from inference."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from edgevision.streaming.turns import Turns, places_of
from edgevision.testing import SimulatedClock
from streaming.simulated import camera, model_on


class CountingClock(SimulatedClock):
    """Counts how often each thread waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def _block(self, waiter: object) -> None:
        self.waits[threading.current_thread().name] += 1
        super()._block(waiter)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["latest", "wait", "queue(3)"])
def test_a_frame_wakes_its_worker_and_its_consumer_and_nobody_else(policy: str) -> None:
    clock, frames = CountingClock(), 300
    stream = model_on(clock, 0.01).stream(camera(clock, frames), policy, clock=clock)
    answered = sum(1 for _ in stream)
    assert answered == frames
    waits = clock.waits
    assert waits["edgevision-watch"] <= 10  # a few looks, whatever the number of frames
    # Each frame: its inference, and the wait for the next one.
    assert waits["edgevision-work"] <= 2 * frames + 10
    assert waits["MainThread"] <= frames + 10


def test_the_end_of_a_turn_wakes_the_stream_that_is_next_alone() -> None:
    clock, turns_each, streams = CountingClock(), 50, 6
    turns, order = Turns(clock, 1), []

    def work(stream: int) -> None:
        for _ in range(turns_each):
            with turns.turn(stream):
                order.append(stream)
                clock.sleep(0.01)

    threads = [
        clock.start(lambda stream=stream: work(stream), f"stream-{stream}") for stream in range(streams)
    ]
    assert {thread.join(60) for thread in threads} == {True}
    assert [order[place : place + streams] for place in range(0, len(order), streams)] == (
        [list(range(streams))] * turns_each
    )
    # Each turn: the wait for it, and the time that it takes.
    assert max(clock.waits[f"stream-{stream}"] for stream in range(streams)) <= 2 * turns_each


def test_several_places_are_used_at_once_and_a_turn_that_fails_gives_its_place_back() -> None:
    clock, ended = SimulatedClock(), []
    turns = Turns(clock, 2)

    def work(stream: int) -> None:
        try:
            with turns.turn(stream):
                clock.sleep(1)
                raise ValueError
        except ValueError:
            ended.append(clock.monotonic_ns() / 1e9)

    threads = [clock.start(lambda stream=stream: work(stream), "stream") for stream in range(6)]
    assert {thread.join(60) for thread in threads} == {True}
    assert ended == [1, 1, 2, 2, 3, 3]


def test_as_many_runs_at_once_as_the_cores_have_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.streaming.turns.cores", lambda: 4)
    session = model_on(SimulatedClock(), 0.0).session
    for known, places in ((None, 1), (1, 4), (3, 1), (8, 1)):
        session.call_threads = known
        assert places_of(session) == places
    session.device = "npu:0"
    session.call_threads = 1
    assert places_of(session) == 1
