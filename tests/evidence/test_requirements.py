"""Budgets and requirements: percentage points, dB, and the confidence with which they must hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.evidence.requirements import Budget, Requirement
from edgevision.metrics.comparison import Comparison, Metric
from edgevision.metrics.intervals import Interval


def _comparison(*metrics: Metric, agreement: float = 0.99, low: float = 0.98) -> Comparison:
    interval = Interval(low, 1.0, "wilson")
    return Comparison(1000, agreement, 0.1, 0.01, metrics, agreement_interval=interval)


def _metric(drop: float, high: float, unit: str = "share") -> Metric:
    return Metric("accuracy", 0.8, 0.8 - drop, unit, drop_interval=Interval(-high, high, "newcombe"))


def test_without_a_budget_the_default_agreement_of_the_precision_is_required() -> None:
    (requirement,) = Budget().requirements(_comparison(agreement=0.94), 0.95)
    assert requirement == Requirement("agreement", True, 0.95, 0.94)
    assert not requirement.passed


def test_the_upper_limit_of_the_interval_is_compared_and_not_the_drop_itself() -> None:
    budget = Budget(max_drop=0.5)
    (sure,) = budget.requirements(_comparison(_metric(0.002, 0.004)), 0.95)
    (lucky,) = budget.requirements(_comparison(_metric(0.002, 0.006)), 0.95)
    assert (sure.what, sure.limit, sure.measured) == ("drop in accuracy", 0.005, 0.004)
    assert sure.passed
    assert not lucky.passed


def test_the_drop_of_a_metric_in_decibel_is_limited_in_decibel() -> None:
    (requirement,) = Budget(max_drop=0.5).requirements(_comparison(_metric(0.2, 0.4, "dB")), 0.9)
    assert (requirement.limit, requirement.measured, requirement.unit) == (0.5, 0.4, "dB")


def test_without_ground_truth_the_drop_in_agreement_is_limited() -> None:
    budget = Budget(max_drop=2.5)
    (requirement,) = budget.requirements(_comparison(agreement=0.99, low=0.98), 0.95)
    assert requirement.what == "drop in agreement"
    assert requirement.measured == pytest.approx(0.02)
    assert requirement.passed
    assert not budget.requirements(_comparison(agreement=0.99, low=0.97), 0.95)[0].passed


def test_both_limits_are_required_where_both_are_set() -> None:
    requirements = Budget(max_drop=0.5, min_agreement=0.995).requirements(
        _comparison(_metric(0.0, 0.001)), 0.9
    )
    assert [(one.what, one.passed) for one in requirements] == [
        ("drop in accuracy", True),
        ("agreement", False),
    ]


def test_the_margin_is_a_fraction_of_the_limit() -> None:
    assert Requirement("size", False, 2.0, 1.5, "MB").margin == pytest.approx(0.25)
    assert Requirement("agreement", True, 0.5, 0.4).margin == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("requirement", "texts"),
    [
        (Requirement("agreement", True, 0.95, 0.973), ("95.00 %", "97.30 %", "2.30 percentage points")),
        (
            Requirement("drop in accuracy", False, 0.005, 0.0079),
            ("0.50 percentage points", "0.79 percentage points", "-0.29 percentage points"),
        ),
        (Requirement("drop in PSNR", False, 0.5, 0.125, "dB"), ("0.50 dB", "0.12 dB", "0.38 dB")),
        (Requirement("size", False, 2.0, 1.5, "MB"), ("2 MB", "1.5 MB", "0.5 MB")),
    ],
    ids=lambda value: value.what if isinstance(value, Requirement) else "",
)
def test_drops_and_margins_are_in_percentage_points(
    requirement: Requirement, texts: tuple[str, str, str]
) -> None:
    assert (requirement.limit_text, requirement.measured_text, requirement.margin_text) == texts


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(1), 1], ids=repr)
def test_limits_may_be_numbers_of_numpy_and_are_kept_as_pythons(number: float) -> None:
    budget = Budget(max_drop=number, min_agreement=number)
    assert budget == Budget(max_drop=float(number), min_agreement=float(number))
    assert type(budget.max_drop) is type(budget.min_agreement) is float


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_drop": 0.0},
        {"max_drop": -1.0},
        {"max_drop": float("nan")},
        {"max_drop": "1"},
        {"max_drop": True},
        {"min_agreement": 1.5},
        {"min_agreement": np.True_},
        {"min_agreement": np.float32("inf")},
    ],
    ids=repr,
)
def test_limits_out_of_range_and_other_types_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        Budget(**wrong)
