"""Observers get every frame of a stream once, whatever became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import edgevision
from edgevision.frame_source import CapturedImage
from edgevision.testing import SimulatedClock
from streaming.simulated import camera, model_on, numbered


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    @edgevision.hookimpl
    def edgevision_inferred(self, observation: Any) -> None:
        self.told.append(observation)

    @edgevision.hookimpl
    def edgevision_failed(self, observation: Any) -> None:
        self.told.append(observation)

    @edgevision.hookimpl
    def edgevision_dropped(self, observation: Any) -> None:
        self.told.append(observation)


@pytest.mark.parametrize(("policy", "inference_s"), [("latest", 0.1), ("queue(2)", 0.1), ("wait", 0.01)])
def test_each_frame_is_told_once_with_what_became_of_it(policy: str, inference_s: float) -> None:
    clock = SimulatedClock()

    def act(number: int) -> None:
        if number == 0:
            raise RuntimeError("cold")

    def images() -> Iterator[Any]:
        for index, image in enumerate(camera(clock, 60)):
            yield CapturedImage(None, damage="torn") if index == 7 else image

    model, listener = model_on(clock, inference_s, act), Listener()
    with edgevision.observe(listener):
        stream = model.stream(images(), policy, clock=clock, max_age_ms=500)
        given = {frame.index: result for frame, result in stream}
    assert sorted(one.facts["index"] for one in listener.told) == list(range(60))
    assert all(one.model is model for one in listener.told)
    counters = stream.counters
    dropped = Counter(one.status for one in listener.told if one.status.startswith("dropped"))
    assert dropped == {f"dropped: {cause}": count for cause, count in counters.dropped.items()}
    for one in listener.told:
        if not one.status.startswith("dropped"):
            assert one.status == given[one.facts["index"]].status
            assert (one.result is None) == (one.error is not None) == one.status.startswith("failed")
            assert one.times_ms["inference"] >= 0
    torn = next(one for one in listener.told if one.facts["index"] == 7)
    assert torn.status == "dropped: damaged"
    assert "torn" in torn.facts["damage"]


def test_frames_that_are_left_are_told_too() -> None:
    clock, listener = SimulatedClock(), Listener()
    with edgevision.observe(listener):
        stream = model_on(clock, 0.1).stream([numbered(index) for index in range(9)], "wait", clock=clock)
        for _ in stream:
            break
    counters = stream.counters
    assert len(listener.told) == counters.captured == counters.answered + sum(counters.dropped.values())
