"""Metrics, limits and intervals as text: a value that misses a limit never looks like the limit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevision.evidence.requirements import FAILED, PASSED, Requirement
from edgevision.metrics import formatting
from edgevision.metrics.comparison import Metric
from edgevision.metrics.formatting import (
    METHODS,
    SOURCES,
    between,
    confidence_of,
    drop_of,
    in_points,
    in_unit,
    level,
    methods_of,
    span,
)
from edgevision.metrics.intervals import Interval

#: Values near limits that people set, and any others.
SHARES = st.one_of(
    st.floats(0.0, 1.0),
    st.builds(lambda count, lost: 1 - lost / count, st.integers(50, 100_000), st.integers(0, 50)),
)
DROPS = st.builds(lambda count, lost: lost / count, st.integers(50, 100_000), st.integers(-50, 500))
LIMITS = st.sampled_from([0.5, 0.1, 1.0, 0.503, 0.05, 2.0, 0.7])


def _number(text: str) -> float:
    return float(text.partition(" ")[0])


@given(SHARES, st.sampled_from([0.95, 0.97, 0.999, 0.9995, 0.5]))
def test_an_agreement_reads_as_the_verdict_on_it(value: float, limit: float) -> None:
    one = Requirement("agreement", True, limit, value, bound=value)
    measured, required = _number(one.measured_text), _number(one.limit_text)
    assert (measured >= required) == (one.status == PASSED)
    assert (one.measured_text == one.limit_text) == (abs(value - limit) < 1e-12)


@given(DROPS, DROPS, LIMITS)
def test_a_drop_and_its_bound_read_as_the_verdict_on_them(first: float, second: float, points: float) -> None:
    measured, bound = sorted((first, second))
    one = Requirement("drop in accuracy", False, points / 100, measured, bound=bound)
    limit = _number(one.limit_text)
    assert (_number(one.measured_text) > limit) == (one.status == FAILED)
    assert (_number(one.bound_text) <= limit) == (one.status == PASSED)
    assert all("percentage points" in text for text in (one.measured_text, one.limit_text, one.margin_text))


@given(st.floats(1e-6, 1e4), st.floats(1e-6, 1e4), st.sampled_from(["MB", "ms", "dB", "relative"]))
def test_values_in_other_units_read_as_the_verdict_on_them(value: float, limit: float, unit: str) -> None:
    one = Requirement.exact("size", False, limit, value, unit)
    if abs(value - limit) > 1e-9:
        assert one.measured_text != one.limit_text
        assert (_number(one.measured_text) <= _number(one.limit_text)) == one.passed


@pytest.mark.parametrize(
    ("limit", "value", "texts"),
    [
        (0.005, 0.00503, ("0.503 percentage points", "0.500 percentage points", "-0.003 percentage points")),
        (0.005, 0.0017, ("0.17 percentage points", "0.50 percentage points", "0.33 percentage points")),
        (0.00503, 0.00503, ("0.50 percentage points", "0.503 percentage points", "0.00 percentage points")),
        (
            0.7 / 100,
            0.75 - 0.743,
            ("0.70 percentage points", "0.70 percentage points", "0.00 percentage points"),
        ),
    ],
    ids=str,
)
def test_a_limit_and_a_value_have_the_digits_that_it_takes(
    limit: float, value: float, texts: tuple[str, ...]
) -> None:
    one = Requirement("drop in accuracy", False, limit, value, bound=value)
    assert (one.measured_text, one.limit_text, one.margin_text) == texts


def test_one_image_of_many_is_never_nothing() -> None:
    assert in_points(1 / 5000, "share") == "0.02 percentage points"
    assert in_points(1 / 50_000, "share") == "0.002 percentage points"
    assert in_points(0.1 + 0.2 - 0.3, "share") == "0.00 percentage points", "the error of floating point"
    assert in_points(0.0004, "dB") == "0.0004 dB"
    assert in_unit(4999 / 5000, "share") == "99.98 %"
    assert span([1.0, 0.999999], "share") == "99.9999 % to 100.0000 %"


def test_the_ends_of_an_interval_are_told_apart_from_each_other_and_from_a_limit() -> None:
    assert between(Interval(0.9652, 0.9885, "wilson"), "share") == "96.52 … 98.85"
    assert between(Interval(0.99998, 1.0, "wilson"), "share") == "99.998 … 100.000"
    assert between(Interval(-0.0001, 0.00503, "newcombe"), "share", [0.005]) == "-0.01 … 0.503"
    assert between(None, "share") == ""


def test_a_threshold_that_no_score_of_1_is_needed_for_is_not_1() -> None:
    texts = [formatting.threshold_text(threshold) for threshold in (0.123456, 0.99996, 1.0, 0.0)]
    assert texts == ["0.1235", "0.99996", "1", "0"]


def test_a_drop_without_an_interval_says_so() -> None:
    assert drop_of(Metric("mAP", 0.5, 0.5)) == "0.00 (no interval)"
    metric = Metric("accuracy", 0.75, 0.7483, drop_interval=Interval(-0.0057, 0.0097, "newcombe"))
    assert drop_of(metric) == "0.17 (-0.57 … 0.97)"


def test_intervals_are_named_with_method_and_confidence() -> None:
    wilson, other = Interval(0.1, 0.2, "wilson"), Interval(0.1, 0.2, "wilson", 0.99)
    assert confidence_of([wilson, None]) == "95 % CI"
    assert confidence_of([wilson, other]) == "CI"
    assert [level(one) for one in (0.95, 0.99, 0.9975, 1 - 0.05 / 24)] == [
        "95 %",
        "99 %",
        "99.75 %",
        "99.79 %",
    ]
    assert methods_of([("accuracy", wilson), ("recall", wilson), ("drop", other), ("mAP", None)]) == (
        "accuracy, recall: Wilson, 95 %; drop: Wilson, 99 %"
    )


def test_every_method_of_an_interval_has_a_name_and_a_publication() -> None:
    from edgevision.metrics import intervals

    stated = set(re.findall(r"``([a-z-]+)`` \(", intervals.Interval.__doc__ or ""))
    assert stated
    assert stated <= set(METHODS)
    assert set(METHODS) == set(SOURCES)
    assert formatting.POINTS == "percentage points"
