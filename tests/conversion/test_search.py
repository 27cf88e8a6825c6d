"""The search for the cheapest artifact inside a budget: its candidates and their order."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgevision.conversion.plan import PlannedArtifact
from edgevision.conversion.search import Outcome, PrecisionSearch, lowest_confidence, searches_for
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
        search.learn(Outcome(inside(search.wanted)))
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


def test_devices_with_another_form_of_int8_have_a_search_of_their_own() -> None:
    targets = [_target("int8", "float32", name=name, fmt="onnx") for name in "abc"]
    searches = searches_for(targets, True, lambda fmt: [("a", 0.5), ("b", 0.1)], symmetric={"b"})
    assert [[target.name for target in one.targets] for one in searches] == [["a", "c"], ["b"]]
    for search in searches:
        while search.wanted is not None:
            search.learn(Outcome(inside=False))
    assert [[one.id for one in search.asked] for search in searches] == [
        ["onnx-int8", "onnx-int8-mixed-1", "onnx-float32"],
        ["onnx-int8-symmetric", "onnx-int8-mixed-1-symmetric", "onnx-float32"],
    ]


TFLITE = ("int8", "int8-float-io", "int8-dynamic", "int16x8", "float16", "float32")


def _timed_search(
    times_ms: dict[str, float],
    precisions: tuple[str, ...] = TFLITE,
    outside: frozenset[str] = frozenset(),
    with_float_operations: frozenset[str] = frozenset(),
    can_time: bool = True,
    untimed: str = "",
) -> tuple[PrecisionSearch, list[tuple[str, ...]]]:
    """A search with the time of each precision, and what it compared; slower is 10 % slower."""
    search = PrecisionSearch((_target(*precisions),), True, lambda fmt: LAYERS, speed_basis="timed")
    compared: list[tuple[str, ...]] = []
    precision_of = {}
    while search.wanted is not None or search.compared:
        if search.wanted is not None:
            name = search.wanted.precision
            precision_of[search.wanted.id] = name
            search.learn(Outcome(name not in outside, name in with_float_operations))
            continue
        compared.append(tuple(one.precision for one in search.compared))
        is_known = can_time and untimed not in compared[-1]
        times = {one.id: times_ms[precision_of[one.id]] for one in search.compared} if is_known else {}
        search.learn_speeds(_slower_by_a_tenth(times) if is_known else None)
    return search, compared


def _slower_by_a_tenth(times_ms: dict[str, float]) -> Callable[[str, str], bool]:
    """Compares those that were timed; of others it knows nothing, and raises."""
    return lambda a, b: times_ms[a] > 1.1 * times_ms[b]


def _precisions(search: PrecisionSearch) -> list[str]:
    return [one.precision for one in search.asked]


def test_int8_that_is_as_fast_as_float32_wins_after_one_comparison() -> None:
    search, compared = _timed_search({"int8": 1.09, "float32": 1.0})
    assert search.winner is not None
    assert search.winner.precision == "int8"
    assert _precisions(search) == ["int8", "float32"], "no more is converted"
    assert compared == [("int8", "float32")]
    assert search.slower == {}


def test_int8_that_is_slower_than_float32_loses_to_it_where_there_is_no_dynamic_form() -> None:
    search, _ = _timed_search({"int8": 1.2, "float32": 1.0}, ("int8", "float16", "float32"))
    assert search.winner is not None
    assert search.winner.precision == "float32"
    assert search.slower == {"tflite-int8": "tflite-float32"}


@pytest.mark.parametrize(
    ("times_ms", "winner"),
    [
        ({"int8": 3.0, "int8-dynamic": 0.9, "float32": 1.0}, "int8-dynamic"),
        ({"int8": 3.0, "int8-dynamic": 2.0, "float32": 1.0}, "float32"),
        ({"int8": 3.0, "int8-dynamic": 1.05, "float32": 1.0}, "int8-dynamic"),
    ],
)
def test_where_int8_is_slower_the_dynamic_form_is_compared_too(
    times_ms: dict[str, float], winner: str
) -> None:
    search, compared = _timed_search(times_ms)
    assert search.winner is not None
    assert search.winner.precision == winner
    assert compared[-1] == ("int8", "int8-dynamic", "float32")


@pytest.mark.parametrize(("dynamic_ms", "winner"), [(0.5, "int8-dynamic"), (0.8, "int8")])
def test_int8_with_float_operations_is_compared_with_the_dynamic_form(dynamic_ms: float, winner: str) -> None:
    search, _ = _timed_search(
        {"int8": 0.8, "int8-dynamic": dynamic_ms, "float32": 1.0}, with_float_operations=frozenset({"int8"})
    )
    assert search.winner is not None
    assert search.winner.precision == winner


@pytest.mark.parametrize("outside", [frozenset({"int8-dynamic"}), frozenset({"int8-dynamic", "float32"})])
def test_a_faster_candidate_outside_the_budget_is_not_chosen(outside: frozenset[str]) -> None:
    search, _ = _timed_search({"int8": 3.0, "int8-dynamic": 0.1, "float32": 1.0}, outside=outside)
    assert search.winner is not None
    assert search.winner.precision == ("int8" if "float32" in outside else "float32")


def test_if_int8_misses_the_budget_and_is_slower_no_layers_are_tried_in_float() -> None:
    search, _ = _timed_search(
        {"int8": 2.0, "float16": 1.0, "float32": 1.0},
        ("int8", "float16", "float32"),
        outside=frozenset({"int8"}),
    )
    assert search.winner is not None
    assert search.winner.precision == "float16"
    assert "int8-mixed" not in _precisions(search)


def test_an_int8_mixed_candidate_that_is_slower_loses_too() -> None:
    search, _ = _timed_search(
        {"int8": 0.9, "int8-mixed": 1.5, "float32": 1.0}, ("int8", "float32"), outside=frozenset({"int8"})
    )
    assert search.winner is not None
    assert search.winner.precision == "float32"
    assert search.slower == {"tflite-int8-mixed-1": "tflite-float32"}


def test_where_nothing_can_be_timed_the_cheapest_wins() -> None:
    search, _ = _timed_search({}, can_time=False)
    assert search.winner is not None
    assert search.winner.precision == "int8"
    assert not search.judged


@pytest.mark.parametrize(("int8_ms", "winner"), [(3.0, "float32"), (0.5, "int8")])
def test_a_dynamic_form_that_cannot_be_timed_leaves_the_first_comparison(int8_ms: float, winner: str) -> None:
    search, compared = _timed_search(
        {"int8": int8_ms, "float32": 1.0}, with_float_operations=frozenset({"int8"}), untimed="int8-dynamic"
    )
    assert compared == [("int8", "float32"), ("int8", "int8-dynamic", "float32")]
    assert search.winner is not None
    assert search.winner.precision == winner
    assert search.judged


def test_the_only_precision_of_a_device_is_compared_with_nothing() -> None:
    search, compared = _timed_search({}, ("int8",))
    assert search.winner is not None
    assert (_precisions(search), compared) == (["int8"], [])


def test_devices_whose_speed_is_known_and_others_have_searches_of_their_own() -> None:
    targets = [_target("int8", "float32", name=name) for name in "abc"]
    searches = searches_for(targets, True, lambda fmt: [], {"a": "", "b": "timed", "c": ""})
    assert [[target.name for target in one.targets] for one in searches] == [["a", "c"], ["b"]]


def test_the_lowest_confidence_is_that_of_the_first_candidate_of_some_search() -> None:
    several, single = _target("int8", "float16", "float32"), _target("float32", name="other", fmt="onnx")
    assert lowest_confidence([several], True) == pytest.approx(0.975)
    assert lowest_confidence([single], True) == pytest.approx(0.95)
    assert lowest_confidence([several, single], True) == pytest.approx(0.95)
