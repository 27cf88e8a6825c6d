"""Progress: the stage, and steps done and in total, over all stages."""

from __future__ import annotations

from edgevision.system.progress import Steps


def test_steps_are_counted_over_all_stages() -> None:
    calls: list[tuple[str, int, int]] = []
    steps = Steps(lambda *call: calls.append(call), 5)
    steps.next("first", 2)
    steps.measured(1)
    steps.next("second", 3)
    steps.measured(3)
    assert calls == [("first", 0, 5), ("first", 1, 5), ("second", 2, 5), ("second", 5, 5)]


def test_a_stage_longer_than_expected_raises_the_total() -> None:
    calls: list[tuple[str, int, int]] = []
    steps = Steps(lambda *call: calls.append(call), 1)
    steps.next("first", 1)
    steps.next("second", 4)
    assert calls[-1] == ("second", 1, 5)


def test_without_a_function_nothing_is_reported() -> None:
    steps = Steps(None, 1)
    steps.next("first", 1)
    steps.measured(1)
