"""Drop policies, ages and counters, for minutes of frames in simulated time."""

from __future__ import annotations

import gc

import pytest

from edgevision import StreamFrame
from edgevision.errors import OptionError
from edgevision.testing import SimulatedClock
from streaming.simulated import FRAMES_PER_S, camera, model_on, number_of


def check_sums(counters: object) -> None:
    values = vars(counters)
    assert values["captured"] == values["answered"] + sum(values["dropped"].values()) + values["in_progress"]


def frames_in_memory() -> int:
    return sum(isinstance(one, StreamFrame) for one in gc.get_objects())


def test_a_consumer_that_sleeps_gets_fresh_results_for_ten_minutes() -> None:
    clock, inference_s, frames, before = SimulatedClock(), 0.02, 600 * FRAMES_PER_S, frames_in_memory()
    model = model_on(clock, inference_s)
    ages, numbers, kept = [], [], []
    stream = model.stream(camera(clock, frames), "latest", clock=clock)
    for frame, result in stream:
        ages.append(result.age_ms)
        numbers.append(frame.index)
        if len(numbers) % 500 == 0:
            kept.append(frames_in_memory() - before)
        assert number_of(result) == frame.index
        clock.sleep(0.2)
    assert max(ages) < 100 + 1000 * inference_s
    assert max(kept) <= 6  # whatever the number of frames
    assert numbers == sorted(numbers)
    assert 2900 < len(numbers) <= 3001
    counters = stream.counters
    assert counters.captured == frames
    assert counters.dropped == {"newer result": frames - len(numbers)}  # each was inferred in time
    assert counters.in_progress == 0
    assert clock.alive == 0


def test_a_slow_network_drops_frames_and_not_results() -> None:
    clock, frames = SimulatedClock(), 60 * FRAMES_PER_S
    stream = model_on(clock, 0.1).stream(camera(clock, frames), "latest", clock=clock)
    ages = [result.age_ms for _, result in stream]
    assert max(ages) <= 100 + 1000 / FRAMES_PER_S
    assert stream.counters.dropped == {"newer frame": frames - len(ages)}


def test_waiting_answers_every_frame_in_order() -> None:
    clock = SimulatedClock()
    stream = model_on(clock, 0.1).stream(camera(clock, 300), "wait", clock=clock)
    seen = []
    for frame, result in stream:
        seen.append((frame.index, number_of(result)))
        clock.sleep(0.05)
    assert seen == [(index, index) for index in range(300)]
    assert stream.counters.dropped == {}
    assert stream.counters.answered == stream.counters.captured == 300


def test_a_queue_holds_so_many_and_drops_the_oldest() -> None:
    clock = SimulatedClock()
    # While the first image is inferred, the others come: of these, the last three are answered.
    model = model_on(clock, 0.0, lambda number: clock.sleep(10 if number == 0 else 0))
    stream = model.stream(camera(clock, 20), "queue(3)", clock=clock)
    numbers = [frame.index for frame, _ in stream]
    assert numbers[0] == 0
    assert numbers[-3:] == [17, 18, 19]
    assert stream.counters.dropped == {"queue full": 20 - len(numbers)}


def test_a_frame_over_its_age_is_dropped_and_counted_before_its_turn_and_after() -> None:
    clock = SimulatedClock()
    model = model_on(clock, 0.1, lambda number: clock.sleep(1 if number == 5 else 0))
    stream = model.stream(camera(clock, 60), "queue(50)", max_age_ms=400, clock=clock)
    results = [(frame.index, result) for frame, result in stream]
    assert all(result.age_ms <= 400 for _, result in results)
    assert 5 not in [index for index, _ in results]
    counters = stream.counters
    assert counters.dropped == {"too old": 60 - len(results)}
    check_sums(counters)


def test_a_late_result_is_marked_stale_and_keeps_its_value() -> None:
    clock = SimulatedClock()
    model = model_on(clock, 0.01, lambda number: clock.sleep(0.5 if number == 2 else 0))
    stream = model.stream(camera(clock, 4, fps=1), "wait", deadline_ms=100, clock=clock)
    statuses = {frame.index: result for frame, result in stream}
    assert [statuses[index].status for index in range(4)] == ["ok", "ok", "stale", "ok"]
    assert not statuses[2].ok
    assert statuses[2].reason == "the frame is 510.0 ms old, and the deadline is 100 ms"
    assert number_of(statuses[2]) == 2
    assert stream.counters.stale == 1


def test_stages_add_up_to_the_age() -> None:
    clock = SimulatedClock()
    stream = model_on(clock, 0.02).stream(camera(clock, 5, fps=10), "wait", clock=clock)
    for _, result in stream:
        times = result.times
        assert times.inference_ms == pytest.approx(20)
        assert sum(times) - times.capture_ms == pytest.approx(result.age_ms)
        assert times.capture_ms == pytest.approx(100)


def test_setting_the_wall_clock_changes_no_age() -> None:
    clock = SimulatedClock()
    stream = model_on(clock, 0.02).stream(camera(clock, 20), "latest", max_age_ms=80, clock=clock)
    walls = []
    for frame, result in stream:
        assert result.age_ms == pytest.approx(20)
        walls.append(frame.captured_at.wall_ns)
        clock.set_wall_forward(-3600 if frame.index % 2 else 3600)
    assert len(walls) == 20
    assert walls != sorted(walls)


def test_streams_of_one_model_take_turns() -> None:
    clock = SimulatedClock()
    model = model_on(clock, 0.1)
    answered = [0, 0, 0, 0]

    def consume(place: int) -> None:
        for _ in model.stream(camera(clock, 600), "latest", clock=clock):
            answered[place] += 1

    threads = [clock.start(lambda place=place: consume(place), "consumer") for place in range(4)]
    assert {thread.join(100) for thread in threads} == {True}
    assert max(answered) - min(answered) <= 1
    assert sum(answered) >= 195  # 20 s of a device that needs 0.1 s for each


@pytest.mark.parametrize(
    "policy", ["newest", "queue", "queue(0)", "queue(1001)", "queue(-1)", "", 3, b"wait"]
)
def test_unknown_policies_are_refused(policy: object) -> None:
    with pytest.raises(OptionError, match=r"policy: expected 'wait', 'latest', or 'queue\(N\)'"):
        model_on(SimulatedClock(), 0.0).stream([], policy)


@pytest.mark.parametrize("limit", ["max_age_ms", "deadline_ms"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "10", True])
def test_limits_are_milliseconds_above_0(limit: str, value: object) -> None:
    with pytest.raises(OptionError, match=limit):
        model_on(SimulatedClock(), 0.0).stream([], **{limit: value})
