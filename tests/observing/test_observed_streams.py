"""Observers of a model that streams get each answer with its frame, and each drop with its cause."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

import edgevision as ev
from edgevision.errors import InferenceError
from edgevision.testing import SimulatedClock
from streaming.simulated import camera, model_on, numbered


class Told:
    def __init__(self) -> None:
        self.answers: list[ev.Observation] = []
        self.drops: Counter[str] = Counter()

    @ev.hookimpl
    def edgevision_inferred(self, observation: ev.Observation) -> None:
        self.answers.append(observation)

    @ev.hookimpl
    def edgevision_failed(self, observation: ev.Observation) -> None:
        self.answers.append(observation)

    @ev.hookimpl
    def edgevision_dropped(self, observation: ev.Observation) -> None:
        self.drops[observation.status] += 1


def test_answers_and_drops_of_a_stream_are_told_once() -> None:
    clock = SimulatedClock()
    model = model_on(clock, 0.1)
    with ev.observe(Told()) as told:
        stream = model.stream(camera(clock, 90), "latest", deadline_ms=110, clock=clock)
        given = list(stream)
    assert [one.facts["index"] for one in told.answers] == [frame.index for frame, _ in given]
    assert [one.status for one in told.answers] == [result.status for _, result in given]
    assert {"ok", "stale"} >= {one.status for one in told.answers}
    for one, (frame, result) in zip(told.answers, given, strict=True):
        assert one.model is model
        assert one.result is result.value
        assert np.array_equal(one.image.pixels, numbered(frame.index))
        assert one.times_ms["inference"] == 100
    assert told.drops == {f"dropped: {cause}": n for cause, n in stream.counters.dropped.items()}
    assert sum(told.drops.values()) + len(given) == 90


def test_a_frame_that_fails_and_those_of_a_loop_that_is_left_are_told() -> None:
    def act(number: int) -> None:
        if number == 1:
            raise InferenceError("broke")

    clock = SimulatedClock()
    with ev.observe(Told()) as told:
        for frame, _ in model_on(clock, 0.01, act).stream(camera(clock, 90), "wait", clock=clock):
            if frame.index == 3:
                break
    assert [one.status for one in told.answers] == ["ok", "failed: InferenceError: broke", "ok", "ok"]
    assert isinstance(told.answers[1].error, InferenceError)
    assert set(told.drops) <= {"dropped: closed"}


def test_a_journal_records_a_stream(tmp_path: Path) -> None:
    clock = SimulatedClock()
    model = model_on(clock, 0.1)
    with ev.Journal(tmp_path / "runs.db", frames="all") as journal, ev.observe(journal):
        stream = model.stream(camera(clock, 30), "latest", clock=clock)
        given = list(stream)
    with ev.read_journal(tmp_path / "runs.db") as reader:
        rows = list(reader)
    answers = [row for row in rows if row.kind == "answer"]
    assert [row.document["answer"]["index"] for row in answers] == [frame.index for frame, _ in given]
    assert answers[0].document["answer"]["times_ms"]["inference"] == 100
    dropped = sum(row.kind == "dropped" for row in rows)
    assert dropped == sum(stream.counters.dropped.values())
    assert not any(row.differs for row in ev.replay_journal(tmp_path / "runs.db", model))
