"""The search for the cheapest artifact inside a budget: its candidates and their order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.search import PrecisionSearch, searches_for
from edgevision.target import Target

LAYERS = [(f"layer{number}", 1.0 / (number + 1)) for number in range(12)]


def _target(*precisions: str, name: str = "device", fmt: str = "tflite") -> Target:
    return Target(name, "a device", "tflite", fmt, precisions)


def _search(
    target: Target,
    inside: Callable[[PlannedArtifact], bool],
    layers: list[tuple[str, float]] = LAYERS,
    calibrated: bool = True,
) -> tuple[list[str], PlannedArtifact | None]:
    search = PrecisionSearch((target,), calibrated, lambda fmt: layers)
    while search.wanted is not None:
        search.learn(inside(search.wanted))
    return [one.id for one in search.asked], search.winner


def test_the_cheapest_inside_the_budget_wins_and_nothing_more_expensive_is_tried() -> None:
    asked, winner = _search(_target("int8", "float16", "float32"), lambda one: True)
    assert asked == ["tflite-int8"]
    assert winner is not None
    assert winner.id == "tflite-int8"


@pytest.mark.parametrize("needed", range(1, 7))
def test_if_int8_misses_the_fewest_layers_that_meet_the_budget_stay_in_float(needed: int) -> None:
    asked, winner = _search(_target("int8", "float32"), lambda one: len(one.float_layers) >= needed)
    assert winner is not None
    assert winner.precision == "int8-mixed"
    assert winner.float_layers == tuple(name for name, _ in LAYERS[:needed]), "the most sensitive ones"
    assert len(asked) <= 7


def test_with_more_than_half_of_the_layers_in_float_the_next_precision_is_tried() -> None:
    asked, winner = _search(_target("int8", "float16"), lambda one: one.precision == "float16")
    assert asked == [
        "tflite-int8",
        "tflite-int8-mixed-1",
        "tflite-int8-mixed-2",
        "tflite-int8-mixed-4",
        "tflite-int8-mixed-6",
        "tflite-float16",
    ]
    assert winner is not None
    assert winner.precision == "float16"


def test_a_device_without_float_support_gets_no_mixed_artifact() -> None:
    asked, winner = _search(_target("int8"), lambda one: False)
    assert asked == ["tflite-int8-full-integer"]
    assert winner is None


def test_without_ranked_layers_the_next_precision_is_tried() -> None:
    asked, _ = _search(_target("int8", "float16"), lambda one: one.precision == "float16", layers=[])
    assert asked == ["tflite-int8", "tflite-float16"]


def test_without_a_calibration_set_no_candidate_needs_one() -> None:
    asked, _ = _search(
        _target("int8", "int8-dynamic", "int16x8", "float16"), lambda one: False, calibrated=False
    )
    assert asked == ["tflite-int8-dynamic", "tflite-float16"]


def test_devices_with_the_same_format_and_precisions_share_a_search() -> None:
    targets = [
        _target("int8", "float32", name="a"),
        _target("int8", name="b"),
        _target("int8", "float32", name="c"),
        _target("int8", "float32", name="d", fmt="onnx"),
    ]
    searches = searches_for(targets, True, lambda fmt: [])
    assert [[target.name for target in one.targets] for one in searches] == [["a", "c"], ["b"], ["d"]]
