"""Thresholds and their metrics, checked by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.evidence.operating_points import (
    MOST_POINTS,
    Curve,
    OperatingPointSpecification,
    ThresholdedScores,
    find_class,
    find_threshold,
    operating_evidence,
    point_metrics,
)

#: 0.9, 0.8, 0.7, 0.6 and 0.3 are positive; 0.5, 0.4, 0.2 and 0.1 are negative.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], np.float32)
POSITIVE = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0], bool)


@pytest.mark.parametrize(
    ("metric", "at_least", "threshold"),
    [
        # As if a sixth positive image had been missed: 4 of 6, and 5 of 6.
        ("sensitivity", 0.66, 0.55),
        ("sensitivity", 0.67, 0.25),
        ("sensitivity", 0.83, 0.25),
        ("sensitivity", 0.84, None),
        # The classes are separated better than required: a higher threshold gains nothing.
        ("sensitivity", 0.2, 0.55),
        # As if a fifth negative image had been predicted positive: 4 of 5, and 2 of 5.
        ("specificity", 0.8, 0.55),
        ("specificity", 0.81, None),
        ("specificity", 0.5, 0.55),
        ("specificity", 0.4, 0.25),
        # As if one more prediction were wrong: 4 of 5, and 5 of 8.
        ("precision", 0.8, 0.55),
        ("precision", 0.81, None),
        ("precision", 0.63, 0.55),
        ("precision", 0.62, 0.25),
    ],
)
def test_the_threshold_meets_the_specification_at_the_lowest_cost(metric, at_least, threshold) -> None:
    found = find_threshold(SCORES, POSITIVE, OperatingPointSpecification("x", metric, at_least))
    assert found == (None if threshold is None else pytest.approx(threshold))


def test_the_order_of_the_images_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(SCORES))
    specification = OperatingPointSpecification("x", "sensitivity", 0.8)
    assert find_threshold(SCORES[order], POSITIVE[order], specification) == find_threshold(
        SCORES, POSITIVE, specification
    )


def test_images_of_one_step_of_an_int8_score_stay_together() -> None:
    scores = np.array([0.5, 0.5, 0.25, 0.5, 0.25, 0.0], np.float32)
    positive = np.array([1, 1, 1, 0, 0, 0], bool)
    assert find_threshold(scores, positive, OperatingPointSpecification("x", "sensitivity", 0.5)) == 0.375
    assert find_threshold(scores, positive, OperatingPointSpecification("x", "sensitivity", 0.75)) == 0.125
    # Two of the three negatives have the same score as positives.
    assert find_threshold(scores, positive, OperatingPointSpecification("x", "specificity", 0.6)) is None


def test_scores_that_are_all_equal_have_no_threshold() -> None:
    same = np.full(9, 0.5, np.float32)
    for metric in ("sensitivity", "specificity", "precision"):
        assert find_threshold(same, POSITIVE, OperatingPointSpecification("x", metric, 0.1)) is None


def test_a_threshold_between_adjacent_float32_numbers_is_the_higher_one() -> None:
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    scores = np.array([high, high, low], np.float32)
    found = find_threshold(
        scores, np.array([1, 1, 0], bool), OperatingPointSpecification("x", "sensitivity", 0.6)
    )
    assert found == float(high)
    assert (scores >= found).tolist() == [True, True, False]


@pytest.mark.parametrize(("at_least", "images"), [(0.95, 19), (0.9, 9), (0.5, 1), (0.99, 99), (0.66, 2)])
def test_the_fewest_images_that_can_show_a_required_value(at_least: float, images: int) -> None:
    specification = OperatingPointSpecification("x", "sensitivity", at_least)
    assert specification.least_images == images
    assert images / (images + 1) >= at_least > (images - 1) / images


@pytest.mark.parametrize("metric", ["sensitivity", "specificity"])
def test_new_images_meet_the_specification_on_average_over_calibration_sets(metric: str) -> None:
    """The guarantee of split conformal prediction, with classes that overlap."""
    random = np.random.default_rng(0)
    positive = np.arange(80) < 40
    specification, reached = OperatingPointSpecification("x", metric, 0.9), []
    truth = np.arange(2000) < 1000
    for _ in range(400):
        scores = _drawn(random, positive)
        threshold = find_threshold(scores, positive, specification)
        new = _drawn(random, truth)
        decided = new >= threshold
        reached.append(decided[truth].mean() if metric == "sensitivity" else (~decided[~truth]).mean())
    assert 0.9 <= np.mean(reached) < 0.94


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


def test_the_required_metric_is_judged_by_its_lower_limit() -> None:
    # 160 of 200: the exact interval begins at 0.738.
    scores = np.tile(SCORES, 40)
    statuses = {limit: _evidence(scores, limit).requirement.status for limit in (0.73, 0.75, 0.81)}
    assert statuses == {0.73: "passed", 0.75: "not shown", 0.81: "failed"}
    requirement = _evidence(scores, 0.75).requirement
    assert (requirement.what, requirement.measured) == ("sensitivity for 'x'", 0.8)


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


@pytest.mark.parametrize("number", [np.float32(0.75), np.float64(0.75), 0.75], ids=repr)
def test_a_required_value_may_be_a_number_of_numpy_and_is_kept_as_pythons(number: float) -> None:
    specification = OperatingPointSpecification("x", "sensitivity", number)
    assert specification == OperatingPointSpecification("x", "sensitivity", 0.75)
    assert type(specification.at_least) is float


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "recall", 0.9), "metric: expected one of sensitivity, specificity, precision, got 'recall'"),
        (("x", "sensitivity", 1.0), "sensitivity: expected above 0 and below 1, got 1"),
        (("x", "precision", 0), "precision: expected above 0 and below 1, got 0"),
        (("x", "specificity", True), "specificity: expected a number, got True"),
        (("x", "specificity", "0.9"), "specificity: expected a number, got '0.9'"),
        (("x", "sensitivity", float("nan")), "sensitivity: expected a number, got nan"),
        ((3, "sensitivity", 0.9), "positive: expected the name of a class, got 3"),
    ],
    ids=str,
)
def test_a_specification_that_no_threshold_can_meet_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(OptionError) as raised:
        OperatingPointSpecification(*arguments)
    assert str(raised.value) == message
