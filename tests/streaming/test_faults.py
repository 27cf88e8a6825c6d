"""Faults of sources and stages, one after the other: each is counted and named, and gives no wrong result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision import StreamSettings
from edgevision.errors import (
    InferenceError,
    OptionError,
    SessionClosedError,
    StreamBrokenError,
    StreamError,
    StreamLostError,
)
from edgevision.frame_source import CapturedImage
from edgevision.testing import SimulatedClock
from streaming.simulated import ScriptedSource, camera, collect, collect_into, model_on, number_of, numbered


def then(images: Iterator[Any], act: Callable[[], object]) -> Iterator[Any]:
    """The images, and then an act: it raises, hangs, or nothing."""
    yield from images
    act()


def lost() -> None:
    raise StreamLostError("scripted: unplugged")


def kinds_of(stream: Any) -> list[str]:
    return [event.kind for event in stream.events]


def test_a_source_that_is_unplugged_and_back_goes_on(scripted: type[ScriptedSource]) -> None:
    clock = SimulatedClock()
    source = scripted(
        clock,
        lambda: then(camera(clock, 5), lost),
        lambda: None,  # nobody there, twice
        lambda: None,
        lambda: camera(clock, 3),
    )
    # the third attempt is the second in the list of "nobody there"
    stream = model_on(clock, 0.001).stream(source, clock=clock)
    frames = [frame for frame, _ in stream]
    assert stream.policy == "latest"
    assert [frame.index for frame in frames] == list(range(8))
    assert kinds_of(stream) == ["opened", "lost", "lost", "lost", "reconnected", "ended"]
    assert stream.counters.reconnects == 1
    pauses = np.diff(source.opened_at_s)
    assert pauses[1:] == pytest.approx([1.0, 2.0])
    assert source.closed == 2
    assert clock.alive == 0


def test_a_source_that_stays_away_is_lost_after_the_time_that_was_allowed(
    scripted: type[ScriptedSource],
) -> None:
    clock = SimulatedClock()
    source = scripted(clock, lambda: then(camera(clock, 5), lost), lambda: None)
    stream = model_on(clock, 0.001).stream(source, clock=clock, settings=StreamSettings(reconnect_s=20))
    seen: list[int] = []
    with pytest.raises(StreamLostError, match="nobody there"):
        collect_into(seen, stream)
    assert seen == [0, 1, 2, 3, 4]
    assert 20 <= clock.monotonic_ns() / 1e9 < 30
    assert clock.alive == 0


def test_a_source_that_is_not_there_yet_is_waited_for(
    scripted: type[ScriptedSource], caplog: pytest.LogCaptureFixture
) -> None:
    """A camera that starts later than the machine: not there, then without a frame, then well."""
    clock = SimulatedClock()
    source = scripted(
        clock, lambda: None, lambda: then(iter(()), lost), lambda: None, lambda: camera(clock, 3)
    )
    stream = model_on(clock, 0.001).stream(source, clock=clock)
    assert [frame.index for frame, _ in stream] == [0, 1, 2]
    assert kinds_of(stream) == ["lost", "opened", "lost", "lost", "opened", "ended"]
    assert stream.counters.reconnects == 0  # it had never been there
    assert np.diff(source.opened_at_s) == pytest.approx([0.5, 1.0, 2.0])
    assert [record.getMessage() for record in caplog.records] == [
        "scripted: nobody there; it is tried again for 30 s"
    ]
    assert clock.alive == 0


@pytest.mark.parametrize(("reconnect_s", "least_s", "most_s"), [(0, 0, 0), (20, 20, 30)])
def test_a_source_that_is_never_there_is_told_after_the_time_that_was_allowed(
    scripted: type[ScriptedSource], reconnect_s: float, least_s: float, most_s: float
) -> None:
    clock = SimulatedClock()
    settings = StreamSettings(reconnect_s=reconnect_s)
    stream = model_on(clock, 0.001).stream(scripted(clock, lambda: None), clock=clock, settings=settings)
    with pytest.raises(StreamLostError, match="nobody there"):
        list(stream)
    assert least_s <= clock.monotonic_ns() / 1e9 <= most_s


def test_what_waiting_does_not_mend_is_told_at_once(scripted: type[ScriptedSource]) -> None:
    clock = SimulatedClock()

    def refused() -> Iterator[Any]:
        raise StreamError("scripted: user name or password is not accepted")

    def no_video() -> Iterator[Any]:
        raise StreamBrokenError("scripted: no video")
        yield

    for attempt in (refused, no_video):
        with pytest.raises(StreamError, match="scripted: (user|no video)"):
            list(model_on(clock, 0.001).stream(scripted(clock, attempt), clock=clock))
    assert clock.monotonic_ns() == 0


def test_a_live_source_that_hangs_is_found_in_two_seconds_and_opened_again(
    scripted: type[ScriptedSource],
) -> None:
    clock = SimulatedClock()
    source = scripted(
        clock, lambda: then(camera(clock, 3), lambda: clock.sleep(3600)), lambda: camera(clock, 3)
    )
    stream = model_on(clock, 0.001).stream(source, clock=clock)
    frames = [frame for frame, _ in stream]
    assert [frame.index for frame in frames] == list(range(6))
    gap_s = (frames[3].captured_at.monotonic_ns - frames[2].captured_at.monotonic_ns) / 1e9
    assert 2.0 < gap_s < 2.6
    assert "scripted: stalled: no frame for 2 s" in [event.message for event in stream.events]


def test_a_source_that_hangs_again_and_again_is_given_up(scripted: type[ScriptedSource]) -> None:
    clock = SimulatedClock()
    source = scripted(clock, lambda: then(camera(clock, 3), lambda: clock.sleep(1e6)))
    stream = model_on(clock, 0.001).stream(source, clock=clock, settings=StreamSettings(reconnect_s=None))
    with pytest.raises(StreamLostError, match="stalled"):
        list(stream)
    assert len(source.opened_at_s) == 3  # no more threads than these are left behind


def test_an_iterator_that_hangs_is_waited_for_unless_told_otherwise() -> None:
    clock = SimulatedClock()
    patient = then(camera(clock, 2), lambda: clock.sleep(3600))
    assert len(list(model_on(clock, 0.001).stream(patient, clock=clock))) == 2
    hanging = then(camera(clock, 2), lambda: clock.sleep(3600))
    stream = model_on(clock, 0.001).stream(hanging, clock=clock, settings=StreamSettings(stall_s=1))
    with pytest.raises(StreamLostError, match="stalled: no frame for 1 s"):
        list(stream)
    assert "stuck" in kinds_of(stream) or stream.counters.answered == 2


def test_a_stream_can_be_left_while_its_source_hangs() -> None:
    clock = SimulatedClock()
    stream = model_on(clock, 0.001).stream(then(camera(clock, 1), lambda: clock.sleep(3600)), clock=clock)
    for _ in stream:
        break
    assert clock.monotonic_ns() / 1e9 < 10
    assert kinds_of(stream)[-1] == "stuck"


@pytest.mark.parametrize("error", [ValueError("no light"), SystemExit(3), KeyboardInterrupt()])
def test_an_iterator_that_raises_ends_the_stream_after_its_frames(error: BaseException) -> None:
    clock = SimulatedClock()

    def fail() -> None:
        raise error

    seen: list[int] = []
    with pytest.raises(StreamBrokenError, match=type(error).__name__):
        collect_into(seen, model_on(clock, 0.01).stream(then(camera(clock, 3), fail), clock=clock))
    assert seen == [0, 1, 2]
    assert clock.alive == 0


def test_damaged_frames_are_dropped_and_counted(scripted: type[ScriptedSource]) -> None:
    clock = SimulatedClock()
    images = [numbered(0), CapturedImage(None, damage="torn"), numbered(2), np.zeros((2, 2, 7)), numbered(4)]

    def paced() -> Iterator[Any]:
        for image in images:
            clock.sleep(0.1)
            yield image

    stream = model_on(clock, 0.001).stream(scripted(clock, paced), clock=clock)
    assert [(frame.index, number_of(result)) for frame, result in stream] == [(0, 0), (2, 2), (4, 4)]
    assert stream.counters.dropped == {"damaged": 2}
    assert stream.counters.captured == 5
    told = [event.message for event in stream.events if event.kind == "damaged"]
    assert told[0] == "scripted: frame 1: torn"
    assert "frame 3" in told[1]


def test_broken_images_in_a_folder_are_named(tmp_path: Path) -> None:
    import cv2

    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), numbered(index)[..., ::-1])
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    stream = model_on(SimulatedClock(), 0.0).stream(tmp_path, clock=SimulatedClock())
    assert [number_of(result) for _, result in stream] == [0, 2]
    assert "1.png" in next(event.message for event in stream.events if event.kind == "damaged")


def test_a_change_of_resolution_in_the_middle_is_followed() -> None:
    clock = SimulatedClock()
    images = [np.full((h, w, 3), 7, np.uint8) for h, w in ((480, 640), (1080, 1920), (31, 17), (480, 640))]
    frames = [frame for frame, result in model_on(clock, 0.0).stream(images, clock=clock) if result.ok]
    assert [frame.image.size_wh for frame in frames] == [(640, 480), (1920, 1080), (17, 31), (640, 480)]


def test_a_stage_that_fails_gives_its_frame_a_result_that_cannot_be_taken_for_an_answer() -> None:
    clock = SimulatedClock()

    def fail(number: int) -> None:
        if number == 2:
            raise RuntimeError("out of memory")

    results = {}
    for frame, result in model_on(clock, 0.01, fail).stream(camera(clock, 4), clock=clock):
        results[frame.index] = result
    assert [results[index].ok for index in range(4)] == [True, True, False, True]
    assert results[2].status.startswith("failed: InferenceError")
    assert "out of memory" in results[2].status
    assert "result" not in results[2].to_dict()
    with pytest.raises(InferenceError, match="out of memory"):
        _ = results[2].value


def test_a_model_that_is_closed_ends_its_streams() -> None:
    clock = SimulatedClock()
    model = model_on(clock, 0.01)
    with pytest.raises(SessionClosedError):
        collect(model.stream(camera(clock, 100), clock=clock), lambda index: index < 3 or model.close())
    assert clock.alive == 0


def test_a_buffer_that_the_source_writes_into_again_is_copied() -> None:
    clock = SimulatedClock()

    def reused() -> Iterator[Any]:
        buffer = numbered(0)
        for index in range(50):
            buffer[...] = numbered(index)
            yield buffer

    stream = model_on(clock, 0.01).stream(reused(), "wait", clock=clock)
    assert [number_of(result) for _, result in stream] == list(range(50))


def test_a_source_without_one_usable_frame_does_not_look_like_one_in_which_nothing_was_found() -> None:
    clock = SimulatedClock()
    stream = model_on(clock, 0.0).stream([None, b"no image"], clock=clock)
    with pytest.raises(StreamBrokenError, match="none of 2 frames could be used; the first: image: "):
        list(stream)
    assert stream.counters.dropped == {"damaged": 2}


def test_nobody_waits_for_a_usable_frame_of_a_source_that_has_none_and_no_end() -> None:
    clock = SimulatedClock()
    stream = model_on(clock, 0.0).stream(repeat(5), clock=clock)
    with pytest.raises(StreamBrokenError, match="none of 1000 frames could be used; the first: image: "):
        next(iter(stream))


def test_what_nothing_opens_is_refused_where_the_stream_is_made() -> None:
    model = model_on(SimulatedClock(), 0.0)
    for source in (
        None,
        3.5,
        object(),
        "rtsp:",
        "nonsense",
        "x" * 5000,
        b"0",
        {"a": 1},
        np.zeros((4, 4, 3), np.uint8),
    ):
        with pytest.raises(OptionError, match="expected one of: .*a camera index"):
            model.stream(source)


def test_what_cannot_be_opened_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    model = model_on(SimulatedClock(), 0.0)
    for name, reason in (("text.mp4", "no video that can be opened"), ("absent.mp4", "cannot be read")):
        with pytest.raises(StreamError, match=reason) as caught:
            list(model.stream(tmp_path / name))
        assert name in str(caught.value)
        assert not isinstance(caught.value, StreamLostError)
