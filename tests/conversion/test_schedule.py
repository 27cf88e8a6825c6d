"""The progress of a conversion: milliseconds that went by, and the total as the stages so far suggest."""

from __future__ import annotations

from edgevision.conversion.schedule import Schedule, Stage


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self) -> float:
        return self.now

    def schedule(self, expected: dict[Stage, int], calibration_images: int = 0) -> Schedule:
        return Schedule(lambda *call: self.calls.append(call), expected, calibration_images, self)

    @property
    def seconds_left(self) -> float:
        _, done, total = self.calls[-1]
        return (total - done) / 1000


def test_the_time_left_of_counted_examples_follows_their_pace() -> None:
    clock = _Clock()
    schedule = clock.schedule({Stage.SOURCE: 100, Stage.ARTIFACTS: 100})
    schedule.next("measuring the source", Stage.SOURCE, 100)
    clock.now += 10
    schedule.measured(25)
    assert clock.calls[-1][:2] == ("measuring the source", 10_000)
    clock.now += 30
    schedule.next("measuring", Stage.ARTIFACTS, 100)
    assert clock.seconds_left == 40, "as long as the source took"


def test_a_conversion_is_expected_to_take_what_the_last_one_took() -> None:
    clock = _Clock()
    schedule = clock.schedule({Stage.INTEGER: 4})
    schedule.next("converting to a", Stage.INTEGER)
    guess = clock.seconds_left
    clock.now += 100
    schedule.next("converting to b", Stage.INTEGER)
    assert clock.seconds_left == 300 > guess
    clock.now += 50
    schedule.next("converting to c", Stage.INTEGER)
    assert clock.seconds_left == 150


def test_before_any_conversion_the_pace_of_the_source_tells_how_long_one_takes() -> None:
    left = []
    for seconds in (1, 1000):
        clock = _Clock()
        schedule = clock.schedule({Stage.SOURCE: 100, Stage.INTEGER: 1}, calibration_images=500)
        schedule.next("measuring the source", Stage.SOURCE, 100)
        clock.now += seconds
        schedule.next("converting to a", Stage.INTEGER)
        left.append(clock.seconds_left)
    assert left[1] > 100 * left[0]


def test_done_grows_and_never_exceeds_the_total_also_where_stages_take_longer_or_were_not_expected() -> None:
    clock = _Clock()
    schedule = clock.schedule({Stage.READING: 1, Stage.FLOAT: 2, Stage.ARTIFACTS: 10, Stage.WRITING: 1})
    for name, kind, examples in (
        ("reading", Stage.READING, 0),
        ("converting", Stage.FLOAT, 0),
        ("ranking", Stage.RANKING, 0),
        ("measuring", Stage.ARTIFACTS, 10),
        ("measuring", Stage.ARTIFACTS, 10),
        ("writing", Stage.WRITING, 0),
    ):
        schedule.next(name, kind, examples)
        clock.now += 1000
        if examples:
            schedule.measured(examples)
    done = [call[1] for call in clock.calls]
    assert done == sorted(done)
    assert all(call[1] <= call[2] for call in clock.calls)
    assert clock.seconds_left <= 1, "conversions that were not needed are not waited for"


def test_without_a_function_nothing_is_reported() -> None:
    Schedule(None, {}).next("reading", Stage.READING)
