"""Observers get every frame of a stream once, whatever became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgevision
from edgevision.errors import StreamLostError
from edgevision.frame_source import CapturedImage
from edgevision.testing import SimulatedClock
from streaming.simulated import ScriptedSource, camera, model_on, numbered


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


class Events:
    """Keeps the events of the source."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, str, str]] = []

    @edgevision.hookimpl
    def edgevision_stream_event(self, model: Any, event: Any) -> None:
        self.told.append((model, event.kind, event.message))


def unplugged(clock: SimulatedClock) -> Iterator[Any]:
    yield from camera(clock, 3)
    raise StreamLostError("scripted: unplugged")


def test_what_happens_to_the_source_is_told_counted_and_recorded(
    scripted: type[ScriptedSource], tmp_path: Path
) -> None:
    clock, events, metrics = SimulatedClock(), Events(), edgevision.Metrics()
    source = scripted(clock, lambda: unplugged(clock), lambda: camera(clock, 2))
    model = model_on(clock, 0.001)
    journal = edgevision.Journal(tmp_path / "runs.db")
    with journal, edgevision.observe(journal), edgevision.observe(events), edgevision.observe(metrics):
        stream = model.stream(source, clock=clock)
        assert len(list(stream)) == 5
    expected = [(event.kind, event.message) for event in stream.events]
    assert [kind for kind, _ in expected] == ["opened", "lost", "reconnected", "ended"]
    assert [(kind, message) for _, kind, message in events.told] == expected
    assert {told is model for told, _, _ in events.told} == {True}
    with edgevision.read_journal(tmp_path / "runs.db") as reader:
        rows = [row.document for row in reader if row.kind == "event"]
    assert [(row["status"].removeprefix("stream "), row["answer"]["message"]) for row in rows] == expected
    assert {row["backend"] for row in rows} == {"fake"}
    assert edgevision.verify_journal(tmp_path / "runs.db").ok
    labels = 'backend="fake",device="cpu",precision="float32",kind="lost"'
    assert f"edgevision_stream_events_total{{{labels}}} 1" in metrics.text()


def test_a_damaged_frame_is_told_once_as_dropped(scripted: type[ScriptedSource]) -> None:
    clock, events, listener = SimulatedClock(), Events(), Listener()
    images = [numbered(0), CapturedImage(None, damage="torn"), numbered(2)]
    with edgevision.observe(events), edgevision.observe(listener):
        stream = model_on(clock, 0.001).stream(scripted(clock, lambda: iter(images)), "wait", clock=clock)
        assert len(list(stream)) == 2
    assert [event.kind for event in stream.events] == ["opened", "damaged", "ended"]
    assert [kind for _, kind, _ in events.told] == ["opened", "ended"]
    assert [one.status for one in listener.told].count("dropped: damaged") == 1
