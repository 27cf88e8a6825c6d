"""Accuracy, precision, recall, F1, confusion and reliability, compared with scikit-learn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from edgevision.metrics.classification import classify_measures
from edgevision.metrics.measures import Hits, drop_interval
from edgevision.metrics.reliability import Reliability

metrics = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn (extra `dev`)")

LABELS = ("a", "b", "c", "d", "never")


def _case(images: int = 400, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are mostly correct, and ground truth without the last class."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, images)
    logits = random.normal(size=(images, classes + 1)) + 1.5 * np.eye(classes + 1)[truth]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return scores.astype(np.float32), truth


def _values(measures) -> dict[str, float]:
    return {one.name: one.value for one in measures.metrics}


def test_the_metrics_of_a_classifier_agree_with_scikit_learn() -> None:
    scores, truth = _case()
    found = classify_measures(scores, truth, LABELS, multi_label=False)
    decided = scores.argmax(axis=1)
    assert set(decided) > set(truth), "a class that is only predicted is in the macro averages too"
    macro = {"average": "macro", "zero_division": 0}
    assert _values(found) == {
        "accuracy": pytest.approx(metrics.accuracy_score(truth, decided)),
        "macro precision": pytest.approx(metrics.precision_score(truth, decided, **macro)),
        "macro recall": pytest.approx(metrics.recall_score(truth, decided, **macro)),
        "macro F1": pytest.approx(metrics.f1_score(truth, decided, **macro)),
    }
    assert found.notes[0].startswith(
        "classes in the macro averages without an image in the ground truth: 1 of 5"
    )
    assert [one.label for one in found.by_class] == ["a", "b", "c", "d"], (
        "a class without an image has no row"
    )
    columns = metrics.precision_recall_fscore_support(truth, decided, labels=range(4), zero_division=0)
    for place, one in enumerate(found.by_class):
        assert one.support == columns[3][place]
        assert [metric.value for metric in one.metrics] == [
            pytest.approx(values[place]) for values in columns[:3]
        ]
        assert [metric.name for metric in one.metrics] == ["precision", "recall", "F1"]
        assert all(metric.interval.low <= metric.value <= metric.interval.high for metric in one.metrics)
    np.testing.assert_array_equal(
        found.confusion.matrix(5), metrics.confusion_matrix(truth, decided, labels=range(5))
    )


def test_a_class_that_neither_side_has_is_not_averaged() -> None:
    truth = np.array([0, 1, 2, 2])
    decided = np.array([0, 1, 2, 1])
    found = classify_measures(np.eye(9, dtype=np.float32)[decided], truth, [*"abcdefghi"], multi_label=False)
    assert _values(found)["macro F1"] == pytest.approx(metrics.f1_score(truth, decided, average="macro"))
    assert found.notes == ()


def test_the_intervals_of_macro_averages_are_a_little_wider_than_resampling_the_images() -> None:
    random = np.random.default_rng(5)
    truth = random.integers(0, 4, 400)
    decided = np.where(random.random(400) < 0.7, truth, random.integers(0, 4, 400))
    draws = [random.integers(0, 400, 400) for _ in range(600)]
    found = classify_measures(np.eye(4, dtype=np.float32)[decided], truth, LABELS[:4], multi_label=False)
    macro = {"average": "macro", "zero_division": 0}
    for metric, of in zip(
        found.metrics[1:], (metrics.precision_score, metrics.recall_score, metrics.f1_score), strict=True
    ):
        low, high = np.quantile([of(truth[one], decided[one], **macro) for one in draws], (0.025, 0.975))
        width = metric.interval.high - metric.interval.low
        assert high - low < width < 1.25 * (high - low)
        assert metric.interval.low < metric.value < metric.interval.high


def test_the_changed_images_have_the_whole_drop_between_them() -> None:
    random = np.random.default_rng(6)
    for multi_label in (False, True):
        truth = random.integers(0, 6, 80)
        scores = [np.eye(9, dtype=np.float32)[random.integers(0, 7 + one, 80)] for one in range(2)]
        if multi_label:
            truth, scores = random.random((80, 9)) < 0.2, [random.random((80, 9)) for _ in range(2)]
        first, second = (classify_measures(one, truth, [*"abcdefghi"], multi_label) for one in scores)
        for before, after in zip(first.metrics, second.metrics, strict=True):
            mean = before.observations.minus(after.observations)
            total = mean.amounts.sum() / (len(truth) if isinstance(before.observations, Hits) else 1)
            assert total == pytest.approx(before.value - after.value, abs=1e-12), before.name


def test_small_classes_keep_their_intervals() -> None:
    truth = np.array([0] * 60 + [1])
    decided = truth.copy()
    decided[:2] = 1
    pair = [np.eye(2, dtype=np.float32)[one] for one in (truth, decided)]
    first, second = (classify_measures(one, truth, ("many", "one"), multi_label=False) for one in pair)
    for before, after in zip(first.by_class[1].metrics, second.by_class[1].metrics, strict=True):
        interval = drop_interval(before, after)
        assert interval.high > 0.9, "one image bounds next to nothing"
        assert interval.low <= before.value - after.value <= interval.high
    assert drop_interval(first.metrics[2], second.metrics[2]).high > 0.4


def test_with_groups_no_interval_is_narrower() -> None:
    scores, truth = _case(200)
    groups = np.arange(200) // 10
    apart, together = (
        classify_measures(scores, truth, LABELS, multi_label=False, groups=one) for one in (None, groups)
    )
    for one, other in zip(apart.metrics, together.metrics, strict=True):
        assert one.value == other.value
        assert other.interval.method == "gaffke-groups"
        assert other.interval.high - other.interval.low > 0.9 * (one.interval.high - one.interval.low)
    methods = {
        one.interval.method for row in together.by_class for one in row.metrics if one.name != "recall"
    }
    assert methods == {"gaffke-groups"}


def test_independent_scores_are_measured_class_by_class() -> None:
    random = np.random.default_rng(1)
    truth = random.random((300, 3)) < (0.5, 0.1, 0.3)
    scores = (random.random((300, 3)) * 0.6 + 0.35 * truth).astype(np.float32)
    found = classify_measures(scores, truth, LABELS[:3], multi_label=True)
    decided = scores >= 0.5
    assert _values(found) == {
        "macro F1": pytest.approx(metrics.f1_score(truth, decided, average="macro")),
        "exact match": pytest.approx(metrics.accuracy_score(truth, decided)),
        "macro precision": pytest.approx(metrics.precision_score(truth, decided, average="macro")),
        "macro recall": pytest.approx(metrics.recall_score(truth, decided, average="macro")),
    }
    assert found.metrics[0].name == "macro F1", "the task's own metric is the first"
    assert found.confusion is None
    assert [one.support for one in found.by_class] == truth.sum(axis=0).tolist()


def test_a_class_that_is_never_predicted_has_a_precision_of_zero() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    found = classify_measures(scores, np.array([0, 1]), ("a", "b"), multi_label=False)
    precision, recall, f1 = found.by_class[1].metrics
    assert (precision.value, recall.value, f1.value) == (0.0, 0.0, 0.0)
    assert (precision.interval.low, precision.interval.high) == (0.0, 1.0), "and nothing is known of it"


def test_the_ground_truth_may_contain_no_class() -> None:
    scores = np.full((3, 2), 0.1, np.float32)
    found = classify_measures(scores, np.zeros((3, 2), bool), ("a", "b"), multi_label=True)
    assert _values(found)["exact match"] == 1.0
    assert found.by_class == ()


def test_the_largest_error_is_the_most_confident_one() -> None:
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]], np.float32)
    errors = classify_measures(scores, np.array([1, 1, 1]), ("a", "b"), multi_label=False).errors
    assert np.argsort(-errors).tolist() == [0, 1, 2]
    assert errors[2] == 0.0


def test_reliability_follows_the_definition_of_guo_et_al() -> None:
    scores, truth = _case(1000, seed=2)
    found = classify_measures(scores, truth, LABELS, multi_label=False).reliability
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    edges = np.linspace(0.0, 1.0, 16)
    expected = 0.0
    for low, high in pairwise(edges):
        held = (confidence > low) & (confidence <= high)
        if held.any():
            expected += held.mean() * abs(right[held].mean() - confidence[held].mean())
    assert found.ece == pytest.approx(expected, abs=1e-6)
    assert len(found.bins) == 15
    assert sum(one.count for one in found.bins) == 1000


def test_scores_of_zero_and_one_are_in_the_outer_bins() -> None:
    found = Reliability.of(np.array([0.0, 1.0], np.float32), np.array([False, True]))
    assert (found.bins[0].count, found.bins[-1].count, found.ece) == (1, 1, 0.0)
