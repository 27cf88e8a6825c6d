"""Budgets and requirements: percentage points, dB, and the confidence with which they must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.evidence.requirements import Budget, Requirement, output_error, status_of
from edgevision.metrics.comparison import POSITIVE_AGREEMENT, Comparison, Metric
from edgevision.metrics.intervals import Interval, clopper_pearson, paired_drop
from edgevision.metrics.sample_size import images_for_paired_drop, images_for_share

IMAGES = 1000


def _comparison(*metrics: Metric, agreement: float = 0.99) -> Comparison:
    interval = clopper_pearson(round(agreement * IMAGES), IMAGES)
    return Comparison(IMAGES, agreement, 0.1, 0.01, metrics, agreement_interval=interval)


def _metric(drop: float, high: float, unit: str = "share") -> Metric:
    return Metric("accuracy", 0.8, 0.8 - drop, unit, drop_interval=Interval(-high, high, "bootstrap"))


def test_without_a_budget_the_default_agreement_of_the_precision_is_required() -> None:
    (requirement,) = Budget().requirements(_comparison(agreement=0.94), 0.95)
    assert (requirement.what, requirement.at_least, requirement.limit) == ("agreement", True, 0.95)
    assert requirement.measured == 0.94
    assert requirement.status == "failed"


def test_the_lower_limit_of_an_agreement_is_judged_and_not_the_agreement() -> None:
    statuses = {
        agreement: Budget().requirements(_comparison(agreement=agreement), 0.95)[0].status
        for agreement in (0.97, 0.955, 0.949)
    }
    assert statuses == {0.97: "passed", 0.955: "not shown", 0.949: "failed"}


def test_the_upper_limit_of_the_interval_is_judged_and_not_the_drop_itself() -> None:
    budget = Budget(max_drop=0.5)
    statuses = []
    for drop, high in ((0.002, 0.004), (0.002, 0.006), (0.0051, 0.006)):
        (requirement,) = budget.requirements(_comparison(_metric(drop, high)), 0.95)
        assert (requirement.what, requirement.limit) == ("drop in accuracy", 0.005)
        assert (requirement.measured, requirement.bound) == pytest.approx((drop, high))
        statuses.append(requirement.status)
    assert statuses == ["passed", "not shown", "failed"]


def test_a_drop_that_is_the_limit_keeps_it_whatever_the_rounding() -> None:
    metric = Metric("accuracy", 0.7518, 0.7468, drop_interval=Interval(0.001, 0.009, "bootstrap"))
    assert metric.drop > 0.005, "by rounding alone"
    assert Budget(max_drop=0.5).requirements(_comparison(metric), 0.95)[0].status == "not shown"


@pytest.mark.parametrize("high", [0.001, 0.004])
def test_an_interval_that_ends_at_the_measured_drop_shows_nothing(high: float) -> None:
    """Nothing varied, and so nothing is known of other images."""
    (requirement,) = Budget(max_drop=0.5).requirements(_comparison(_metric(0.004, high)), 0.95)
    assert (requirement.status, requirement.bound) == ("not shown", None)


def test_the_drop_of_a_metric_in_decibel_is_limited_in_decibel() -> None:
    (requirement,) = Budget(max_drop=0.5).requirements(_comparison(_metric(0.2, 0.4, "dB")), 0.9)
    assert (requirement.limit, requirement.unit) == (0.5, "dB")
    assert (requirement.measured, requirement.bound) == pytest.approx((0.2, 0.4))


def test_without_ground_truth_the_drop_in_agreement_is_limited() -> None:
    budget = Budget(max_drop=2.5)
    (requirement,) = budget.requirements(_comparison(agreement=0.99), 0.95)
    assert requirement.what == "drop in agreement"
    assert requirement.measured == pytest.approx(0.01)
    assert requirement.bound == pytest.approx(1 - clopper_pearson(990, IMAGES).low, abs=1e-5)
    assert requirement.passed
    assert budget.requirements(_comparison(agreement=0.98), 0.95)[0].status == "not shown"


@pytest.mark.parametrize("max_drop", [0.01, 1.0, 100.0])
def test_without_an_interval_nothing_is_shown_whatever_the_limit(max_drop: float) -> None:
    """No spread, no objects, undefined: all of them have no interval."""
    bare = Comparison(1, 1.0, 0.0, 0.0, (Metric("mAP@0.50", 0.0, 0.0),))
    (drop,) = Budget(max_drop=max_drop).requirements(bare, 0.9)
    (agreement,) = Budget(min_agreement=0.01).requirements(bare, 0.9)
    (both,) = Budget(max_drop=max_drop).requirements(replace(bare, metrics=()), 0.9)
    for requirement in (drop, agreement, both):
        assert requirement.status == "not shown"
        assert (requirement.bound, requirement.images_needed) == (None, None)
        assert requirement.bound_text == "undefined"
        assert requirement.margin < 0


def test_an_agreement_of_at_least_nothing_is_always_shown() -> None:
    for agreement in (0.0, 1.0):
        bare = Comparison(1, agreement, 0.0, 0.0)
        assert Budget(min_agreement=0.0).requirements(bare, 0.9)[0].passed


def test_an_undefined_value_is_not_shown() -> None:
    undefined = Metric("mAP@0.50", math.nan, math.nan, drop_interval=Interval(0.0, 0.0, "bootstrap"))
    (requirement,) = Budget(max_drop=50.0).requirements(_comparison(undefined), 0.9)
    assert (requirement.status, requirement.measured, requirement.bound) == ("not shown", None, None)
    assert requirement.measured_text == "undefined"


def test_labels_that_nobody_predicts_are_not_shown_to_agree() -> None:
    silent = replace(_comparison(agreement=1.0), likeness={POSITIVE_AGREEMENT: 1.0})
    statuses = [one.status for one in Budget().requirements(silent, 0.95)]
    assert statuses == ["passed", "not shown"]
    sparse = replace(silent, likeness_intervals={POSITIVE_AGREEMENT: Interval(0.8, 1.0, "agresti-coull")})
    requirement = Budget().requirements(sparse, 0.95)[1]
    assert requirement.status == "not shown"
    assert requirement.images_needed > IMAGES


def test_both_limits_are_required_where_both_are_set() -> None:
    requirements = Budget(max_drop=0.5, min_agreement=0.995).requirements(
        _comparison(_metric(0.0, 0.001)), 0.9
    )
    assert [(one.what, one.status) for one in requirements] == [
        ("drop in accuracy", "passed"),
        ("agreement", "failed"),
    ]
    assert status_of(requirements) == "failed"
    assert status_of(requirements[:1]) == "passed"
    assert status_of(()) == "passed"


@pytest.mark.parametrize(
    ("hits", "images", "limit"), [(20, 20, 0.95), (60, 60, 0.97), (98, 100, 0.95), (38, 40, 0.94)]
)
def test_as_many_images_as_are_said_to_be_needed_would_show_it_and_one_fewer_would_not(
    hits: int, images: int, limit: float
) -> None:
    share = hits / images
    small = Comparison(images, share, 0.1, 0.01, agreement_interval=clopper_pearson(hits, images))
    (requirement,) = Budget(min_agreement=limit).requirements(small, 0.9)
    assert requirement.status == "not shown"
    needed = requirement.images_needed
    assert clopper_pearson(share * needed, needed).low >= limit
    assert clopper_pearson(share * (needed - 1), needed - 1).low < limit


def test_a_plan_and_a_verdict_say_the_same_number_of_images() -> None:
    lost, gained, images = 5, 3, 400
    drop = Metric("accuracy", 0.8, 0.8 - 2 / images, drop_interval=paired_drop(lost, gained, images))
    small = Comparison(images, 0.99, 0.1, 0.01, (drop,), agreement_interval=clopper_pearson(396, images))
    (requirement,) = Budget(max_drop=1.5).requirements(small, 0.9)
    planned = images_for_paired_drop(lost / images, gained / images, 0.015)
    assert requirement.images_needed == pytest.approx(planned, rel=0.002)
    (requirement,) = Budget(min_agreement=0.98).requirements(small, 0.9)
    assert requirement.images_needed == pytest.approx(images_for_share(0.99, 0.98), rel=0.002)


def test_what_no_number_of_images_would_show_says_no_number() -> None:
    (requirement,) = Budget(min_agreement=1.0).requirements(_comparison(agreement=1.0), 0.9)
    assert (requirement.status, requirement.images_needed) == ("not shown", None)


def test_one_of_several_candidates_is_judged_at_a_higher_confidence() -> None:
    comparison = _comparison(_metric(0.002, 0.0045))
    alone, of_many = (
        Budget(max_drop=0.5, min_agreement=0.98).requirements(comparison, 0.9, confidence=confidence)
        for confidence in (0.95, 0.999)
    )
    assert [one.status for one in alone] == ["passed", "passed"]
    assert [one.status for one in of_many] == ["not shown", "not shown"]
    assert [one.confidence for one in of_many] == [0.999, 0.999]
    assert of_many[1].bound == pytest.approx(clopper_pearson(990, IMAGES, confidence=0.999).low, abs=1e-5)


@pytest.mark.parametrize(
    ("precisions", "limit"),
    [
        (("float32", "float32"), 0.001),
        (("float16", "float32"), 0.05),
        (("float32", "float16"), 0.05),
        (("float32", "bfloat16"), 0.2),
    ],
)
def test_artifacts_in_float_are_judged_by_a_numeric_tolerance_of_the_coarser_precision(
    precisions: tuple[str, str], limit: float
) -> None:
    few = Comparison(1, 1.0, 0.0, 0.0)
    within, outside = (output_error(error, *precisions) for error in (limit, 1.01 * limit))
    assert Budget().requirements(few, 0.999, within) == (within,)
    assert (within.status, outside.status) == ("passed", "failed")
    assert Budget(min_agreement=0.5).requirements(few, 0.999, within)[0].what == "agreement"
    assert output_error(0.0, "int8", "float32") is None


def test_the_margin_is_a_fraction_of_the_limit() -> None:
    assert Requirement.exact("size", False, 2.0, 1.5, "MB").margin == pytest.approx(0.25)
    assert Requirement("agreement", True, 0.5, 0.6, bound=0.4).margin == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("requirement", "texts"),
    [
        (
            Requirement("agreement", True, 0.95, 0.98, bound=0.973),
            ("95.00 %", "98.00 %", "97.30 %", "2.30 percentage points"),
        ),
        (
            Requirement("drop in accuracy", False, 0.005, 0.001, bound=0.0079),
            tuple(f"{points} percentage points" for points in ("0.50", "0.10", "0.79", "-0.29")),
        ),
        (
            Requirement("drop in PSNR", False, 0.5, 0.0, "dB", bound=0.125),
            ("0.50 dB", "0.00 dB", "0.12 dB", "0.38 dB"),
        ),
        (Requirement.exact("size", False, 2.0, 1.5, "MB"), ("2 MB", "1.5 MB", "1.5 MB", "0.5 MB")),
        (output_error(0.0004, "float32"), ("0.001", "0.0004", "0.0004", "0.0006")),
    ],
    ids=lambda value: value.what if isinstance(value, Requirement) else "",
)
def test_drops_and_margins_are_in_percentage_points(requirement: Requirement, texts: tuple[str, ...]) -> None:
    shown = requirement.limit_text, requirement.measured_text, requirement.bound_text, requirement.margin_text
    assert shown == texts


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
