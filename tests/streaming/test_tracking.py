"""Following objects in a stream: in the order of its frames, and failures have their frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from edgevision import Tracking, hookimpl
from edgevision.errors import InferenceError, MissingRuntimeError, OptionError, PluginError
from edgevision.plugins import registry
from edgevision.testing import SimulatedClock, fake_classifier, fake_detector
from streaming.simulated import camera, numbered

FRAMES = 40


class _Recorder:
    """A tracker that records what it is given; the id of each object is the number of the call."""

    name = "recorder"
    summary = "for tests"

    def __init__(self) -> None:
        self.uses_image = True
        self.calls: list[Any] = []
        self.fails_at: int | None = None
        self.answer: Any = None

    def create(self, settings: Mapping[str, Any]) -> _Recorder:
        if settings:
            raise RuntimeError("no settings")
        return self

    def update(self, boxes: Any, scores: Any, class_ids: Any, image: Any, time_s: Any) -> Any:
        self.calls.append((int(image[0, 0, 1]), time_s))
        if len(self.calls) - 1 == self.fails_at:
            raise ZeroDivisionError("in the tracker")
        return np.full(len(scores), len(self.calls), np.int64) if self.answer is None else self.answer


@pytest.fixture
def recorder() -> Iterator[_Recorder]:
    made = _Recorder()

    class Plugin:
        @hookimpl
        def edgevision_trackers(self) -> list[Any]:
            return [made]

    plugin = Plugin()
    registry().register(plugin, "recorder")
    yield made
    registry().manager.unregister(plugin)


def detector() -> Any:
    return fake_detector(["a"], [("a", 0.9, (1.0, 1.0, 4.0, 4.0))], size_wh=(8, 8))


def images(count: int = FRAMES) -> list[Any]:
    return [numbered(index) for index in range(count)]


def test_a_tracker_sees_every_frame_once_and_in_order(recorder: _Recorder) -> None:
    from edgevision import StreamSettings

    stream = detector().track(images(), "recorder", settings=StreamSettings(workers=4))
    ids = [result.value.tracker_id.tolist() for _, result in stream]
    assert ids == [[index + 1] for index in range(FRAMES)]
    assert [number for number, _ in recorder.calls] == list(range(FRAMES))
    assert {time_s for _, time_s in recorder.calls} == {None}  # images that state no time


def test_frames_of_the_present_have_their_times(recorder: _Recorder) -> None:
    clock = SimulatedClock()
    stream = detector().track(camera(clock, FRAMES), "recorder", "latest", clock=clock)
    for _, _ in stream:
        clock.sleep(0.1)
    numbers, times = zip(*recorder.calls, strict=True)
    assert sum(stream.counters.dropped.values()) > 20
    assert list(times) == pytest.approx([(number + 1) / 30 for number in numbers], abs=1e-6)


def test_a_tracker_that_fails_fails_its_frame_alone(recorder: _Recorder) -> None:
    recorder.fails_at = 3
    stream = detector().track(images(8), "recorder")
    results = [result for _, result in stream]
    assert [result.state for result in results] == ["ok"] * 3 + ["failed"] + ["ok"] * 4
    assert "tracker 'recorder': update: raised ZeroDivisionError: in the tracker" in results[3].status
    with pytest.raises(InferenceError):
        _ = results[3].value
    assert (stream.counters.answered, stream.counters.failed) == (8, 1)


@pytest.mark.parametrize("answer", [np.zeros(2, np.int64), np.zeros(1), None, "ids"], ids=str)
def test_ids_that_are_none_are_refused(recorder: _Recorder, answer: Any) -> None:
    recorder.answer = "" if answer is None else answer
    (result,) = [result for _, result in detector().track(images(1), "recorder")]
    assert "for 1 objects; expected one whole number each" in result.status


def test_a_frame_that_was_not_answered_is_not_shown_to_the_tracker(recorder: _Recorder) -> None:
    def fail(image: Any) -> Any:
        if image[0, 0, 1] == 2:
            raise ValueError("no answer")
        return [("a", 0.9, (1.0, 1.0, 4.0, 4.0))]

    model = fake_detector(["a"], fail, size_wh=(8, 8))
    states = [result.state for _, result in model.track(images(5), "recorder")]
    assert states == ["ok", "ok", "failed", "ok", "ok"]
    assert [number for number, _ in recorder.calls] == [0, 1, 3, 4]


async def _collected(stream: Any) -> list[Any]:
    return [result.value.tracker_id.tolist() async for _, result in stream]


def test_async_for_follows_too(recorder: _Recorder) -> None:
    import asyncio

    assert asyncio.run(_collected(detector().track(images(5), "recorder"))) == [[1], [2], [3], [4], [5]]


def test_mistakes_are_told_before_the_stream(recorder: _Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="this model is a Classifier"):
        fake_classifier(["a", "b"], [0.5, 0.5]).stream(images(), track="recorder")
    with pytest.raises(OptionError, match="expected an object of class Tracking"):
        detector().stream(images(), track=3)
    with pytest.raises(PluginError, match="no tracker 'none'"):
        detector().track(images(), "none")
    with pytest.raises(PluginError, match="tracker 'recorder': create: raised RuntimeError: no settings"):
        detector().track(images(), Tracking("recorder", {"a": 1}))
    monkeypatch.setitem(__import__("sys").modules, "trackers", None)
    with pytest.raises(MissingRuntimeError, match=r'edgevision\[track\]" && pip install --no-deps "trackers'):
        detector().track(images())


def test_arguments_of_calls_change_while_a_stream_runs() -> None:
    objects = [("a", 0.9, (1.0, 1.0, 4.0, 4.0)), ("a", 0.4, (5.0, 5.0, 7.0, 7.0))]
    model = fake_detector(["a"], objects, size_wh=(8, 8))
    stream = model.stream(images(200))
    counts = []
    for frame, result in stream:
        counts.append(len(result.value))
        if frame.index == 20:
            stream.change_call(score_threshold=0.5)
        if frame.index == 30:
            for wrong in ({"score_threshold": 2}, {"threshold": 0.5}):
                with pytest.raises(OptionError):
                    stream.change_call(**wrong)
    assert counts[:20] == [2] * 20
    assert counts[-100:] == [1] * 100
    assert stream.call == {"score_threshold": 0.5}


def test_a_classifiers_call_takes_no_score_threshold() -> None:
    stream = fake_classifier(["a", "b"], [0.5, 0.5], size_wh=(8, 8)).stream(images(3))
    taken = "no argument 'score_threshold' of a Classifier; it takes: operating_threshold"
    with pytest.raises(OptionError, match=taken):
        stream.change_call(score_threshold=0.5)
    assert [result.state for _, result in stream] == ["ok"] * 3


@pytest.mark.parametrize("call", [{"score_threshold": 2}, {"threshold": 0.5}])
def test_arguments_that_a_call_does_not_take_are_refused_before_the_stream(call: dict[str, Any]) -> None:
    from edgevision import StreamSettings

    with pytest.raises(OptionError):
        detector().stream(images(), settings=StreamSettings(call=call))
