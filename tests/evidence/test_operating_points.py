"""Thresholds and their metrics, checked by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.evidence.operating_points import (
    MOST_POINTS,
    Curve,
    ThresholdedScores,
    find_class,
    operating_evidence,
    point_metrics,
    with_point,
)
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.operating_texts import operating_cost
from edgevision.metrics.intervals import clopper_pearson
from edgevision.metrics.measures import Measures
from edgevision.tasks.score_calibration import OperatingPoint

#: 0.9, 0.8, 0.7, 0.6 and 0.3 are positive; 0.5, 0.4, 0.2 and 0.1 are negative.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], np.float32)
POSITIVE = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0], bool)


def _drawn(random: np.random.Generator, positive: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-random.normal(size=len(positive)) - positive))).astype(np.float32)


def test_the_metrics_at_a_threshold_are_counted() -> None:
    sensitivity, specificity, precision = point_metrics(SCORES, POSITIVE, 0.45)
    assert (sensitivity.name, specificity.name, precision.name) == ("sensitivity", "specificity", "precision")
    assert (sensitivity.value, specificity.value, precision.value) == (0.8, 0.75, 0.8)
    assert {one.interval.method for one in (sensitivity, specificity, precision)} == {"clopper-pearson"}
    # The exact interval of 4 of 5.
    assert (sensitivity.interval.low, sensitivity.interval.high) == pytest.approx((0.2836, 0.9949), abs=1e-4)


def test_without_a_positive_prediction_the_precision_is_unknown() -> None:
    _, _, precision = point_metrics(SCORES, POSITIVE, 0.95)
    assert (precision.interval.low, precision.interval.high) == (0.0, 1.0)


@pytest.mark.parametrize("steps", [None, 256], ids=["float", "int8"])
def test_the_curve_agrees_with_scikit_learn(steps: int | None) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the extra `dev`")
    random = np.random.default_rng(1)
    positive = random.random(60) < 0.4
    scores = _drawn(random, positive)
    if steps is not None:
        scores = (np.floor(scores * steps) / steps).astype(np.float32)
    curve = Curve.of(scores, positive)
    false_rate, true_rate, thresholds = metrics.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.sensitivity, true_rate[1:], atol=1e-6)
    np.testing.assert_allclose(curve.specificity, 1 - false_rate[1:], atol=1e-6)
    np.testing.assert_allclose(curve.thresholds, thresholds[1:], atol=1e-6)
    assert curve.area == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-6)
    decided = scores >= np.float32(curve.thresholds[9]) - 1e-6
    assert curve.precision[9] == pytest.approx(metrics.precision_score(positive, decided), abs=1e-6)


def test_the_curve_of_many_images_is_short_and_ends_where_it_should() -> None:
    random = np.random.default_rng(2)
    positive = random.random(5000) < 0.01
    scores = _drawn(random, positive)
    curve = Curve.of(scores, positive)
    assert MOST_POINTS / 2 < len(curve.thresholds) <= MOST_POINTS
    assert (curve.sensitivity[-1], curve.specificity[-1]) == (1.0, 0.0)
    assert list(curve.thresholds) == sorted(curve.thresholds, reverse=True)
    gaps = np.diff(curve.sensitivity) - np.diff(curve.specificity)
    assert gaps.max() < 0.1, "no wide gap between two points"


def _evidence(artifact_evaluation: np.ndarray, at_least: float = 0.8, metric: str = "sensitivity", **sides):
    positive = np.tile(POSITIVE, 40)
    source = ThresholdedScores(np.tile(SCORES, 40), sides.get("source", np.tile(SCORES, 40)), 0.25)
    artifact = ThresholdedScores(np.tile(SCORES, 40), artifact_evaluation, 0.45)
    specification = OperatingPointSpecification("x", metric, at_least)
    return operating_evidence(specification, source, artifact, (positive, sides.get("positive", positive)))


def test_source_and_artifact_are_compared_at_both_thresholds() -> None:
    lower = np.tile(np.where(np.float32(0.6) == SCORES, np.float32(0.4), SCORES), 40)
    found = _evidence(lower, 0.5)
    assert (found.point.threshold, found.source_point.threshold) == (0.45, 0.25)
    sensitivity, specificity, precision = found.point.evaluation
    assert (sensitivity.source, sensitivity.artifact) == (0.8, 0.6)
    assert (specificity.source, specificity.artifact) == (0.75, 0.75)
    assert (precision.source, precision.artifact) == (0.8, 0.75)
    assert found.point.calibration[0].artifact == 0.8
    assert found.source_point.evaluation[0].source == 1.0
    assert found.positives == (200, 200)
    assert found.artifact_curve.area < found.source_curve.area


@pytest.mark.parametrize(
    ("at_least", "status"),
    # 160 of 200: the lower 95 % limit of Clopper and Pearson is 0.74775.
    [(0.7477, "passed"), (0.7478, "not shown"), (0.8, "not shown"), (0.81, "failed")],
)
def test_a_requirement_passes_on_the_lower_limit(at_least: float, status: str) -> None:
    found = _evidence(np.tile(SCORES, 40), at_least)
    requirement = found.requirement
    assert requirement.what == "sensitivity for 'x'"
    assert (requirement.status, requirement.measured) == (status, 0.8)
    assert requirement.bound == pytest.approx(_limit(160, 200), abs=1e-6)
    assert requirement.bound == pytest.approx(0.74775, abs=1e-5)
    assert (requirement.confidence, requirement.basis) == (0.95, "95 %, one-sided")
    assert len(found.warnings) == (status == "not shown")


def _limit(hits: float, count: int) -> float:
    return clopper_pearson(hits, count, confidence=0.9).low


def test_eight_of_ten_do_not_show_ninety_percent() -> None:
    positive = np.arange(100) < 10
    scores = np.where(positive, 0.9, 0.1).astype(np.float32)
    scores[:2] = 0.1
    one = ThresholdedScores(scores, scores, 0.5)
    specification = OperatingPointSpecification("x", "sensitivity", 0.9)
    assert operating_evidence(specification, one, one, (positive, positive)).requirement.status == "failed"


@pytest.mark.parametrize("metric", ["sensitivity", "specificity", "precision"])
def test_the_images_that_would_show_it_are_named(metric: str) -> None:
    """With so many images like these it is shown, and with one in ten fewer it is not."""
    random = np.random.default_rng(5)
    positive = np.arange(400) < 200
    scores = _drawn(random, positive)
    right = (scores >= 0.5) == positive
    scores = np.where(right, scores, 1 - scores).astype(np.float32)
    scores[random.choice(400, 20, replace=False)] = 0.5001
    one = ThresholdedScores(scores, scores, 0.5)
    value = next(m for m in point_metrics(scores, positive, 0.5) if m.name == metric).value
    specification = OperatingPointSpecification("x", metric, value - 0.01)
    found = operating_evidence(specification, one, one, (positive, positive))
    hits = round(value * found.counted)
    assert found.requirement.status == "not shown"
    assert found.needed > found.counted
    errors = 1 - hits / found.counted
    for count, shown in ((found.needed, True), (int(0.9 * found.needed), False)):
        missed = errors * count
        assert (_limit(count - missed, count) >= specification.at_least) == shown
    assert found.requirement.images_needed == pytest.approx(400 * found.needed / found.counted, abs=1)
    (warning,) = found.warnings
    assert f"about {found.needed} of them with this share would" in warning


def test_a_share_that_only_equals_the_required_one_is_shown_by_no_number_of_images() -> None:
    found = _evidence(np.tile(SCORES, 40), 0.8)
    assert (found.needed, found.requirement.images_needed) == (None, None)
    assert "no number of them with this share would" in found.warnings[0]


def test_without_a_prediction_a_precision_is_undefined_and_not_shown() -> None:
    found = _evidence(np.tile(SCORES - np.float32(0.6), 40).clip(0), 0.5, "precision")
    assert found.counted == 0
    assert (found.requirement.status, found.requirement.measured) == ("not shown", None)


def test_images_of_one_group_count_as_one_in_the_lower_limit() -> None:
    positive = POSITIVE.repeat(40)
    scores = SCORES.repeat(40)
    one = ThresholdedScores(scores, scores, 0.45)
    specification = OperatingPointSpecification("x", "sensitivity", 0.7)
    sides = (specification, one, one, (positive, positive))
    groups = np.arange(9).repeat(40)
    found = operating_evidence(*sides, (groups, groups))
    for metric in (*found.point.calibration, *found.point.evaluation):
        interval = metric.artifact_interval
        assert interval.method == "gaffke-groups", "the printed intervals count groups, too"
        assert interval.high - interval.low > 0.5
    assert found.lower_limits[1] == pytest.approx(_limit(4, 5), abs=1e-6)
    assert found.requirement.status == "not shown"
    assert operating_evidence(*sides).requirement.status == "passed"


def test_the_metrics_of_a_bundle_at_its_operating_point_count_groups() -> None:
    point = OperatingPoint("x", 1, 0.45, "sensitivity", 0.7)
    scores = np.column_stack([1 - SCORES, SCORES]).repeat(40, axis=0)
    nothing = Measures((), (), np.zeros(360))
    truth, groups = POSITIVE.astype(np.int64).repeat(40), np.arange(9).repeat(40)
    alone, grouped = (with_point(nothing, point, scores, truth, one).metrics[0] for one in (None, groups))
    assert alone.value == grouped.value == 0.8
    assert alone.interval.low > 0.7
    assert grouped.interval.low < 0.5


def test_the_cost_of_the_guarantee_is_said_for_artifact_and_source() -> None:
    scores, positive = np.tile(SCORES, 40), np.tile(POSITIVE, 40)
    source = ThresholdedScores(scores, scores, 0.25, 0.55)
    artifact = ThresholdedScores(scores, scores, 0.15, 0.45)
    specification = OperatingPointSpecification("x", "sensitivity", 0.8)
    found = operating_evidence(specification, source, artifact, (positive, positive))
    assert operating_cost(found) == (
        "its own threshold is 0.15; the guarantee costs 50.00 percentage points of specificity: 25.00 %, "
        "against 75.00 % at 0.45, the threshold with the required sensitivity on the calibration images "
        "themselves"
    )
    assert operating_cost(found, of_source=True) == (
        "its own threshold is 0.25 (sensitivity 100.00 %, lower 95 % limit 98.51 %); the guarantee costs "
        "50.00 percentage points of specificity: 50.00 %, against 100.00 % at 0.55, the threshold with the "
        "required sensitivity on the calibration images themselves"
    )


def test_a_source_that_was_trained_on_its_calibration_images_gets_a_warning() -> None:
    found = _evidence(np.tile(SCORES, 40), 0.5, source=np.tile(SCORES - np.float32(0.3), 40))
    assert ["trained on neither" in warning for warning in found.warnings] == [True]


def test_a_precision_on_other_class_frequencies_gets_a_warning() -> None:
    rare = np.tile(POSITIVE, 40) & (np.arange(360) % 4 == 0)
    found = _evidence(np.tile(SCORES, 40), 0.1, "precision", positive=rare)
    assert any("only where the class is as frequent" in warning for warning in found.warnings)


def test_a_class_is_found_by_its_name_and_the_nearest_is_suggested() -> None:
    labels = ("nevus", "melanoma", "keratosis", "keratosis")
    assert find_class("melanoma", labels) == 1
    with pytest.raises(
        OptionError,
        match=r"class 'melanom' is not in the label list \(nevus, mel.*\); did you mean 'melanoma'\?",
    ):
        find_class("melanom", labels)
    with pytest.raises(OptionError, match=r"class 'q42' is not in the label list \(nevus, .*\)$"):
        find_class("q42", labels)
    with pytest.raises(OptionError, match="is in the label list 2 times"):
        find_class("keratosis", labels)
