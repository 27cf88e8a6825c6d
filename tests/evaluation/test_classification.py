"""Classifiers are compared on scores with known results."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluation.classification import ClassificationEvaluator, compare_scores
from edgevision.evidence.requirements import Budget
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.intervals import clopper_pearson
from edgevision.tasks.description import ClassifyTask

SOURCE = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)
FLIPPED = np.array([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], np.float32)


def test_equal_scores_agree_fully() -> None:
    same = compare_scores(SOURCE, SOURCE, None)
    assert (same.images, same.agreement, same.largest_difference, same.mean_difference) == (4, 1.0, 0.0, 0.0)
    assert same.metrics == ()


def test_one_flipped_decision_of_four() -> None:
    comparison = compare_scores(SOURCE, FLIPPED, np.array([0, 0, 1, 0]))
    assert comparison.agreement == 0.75
    assert comparison.largest_difference == pytest.approx(0.2)
    assert comparison.mean_difference == pytest.approx(0.6 / 8)
    accuracy = comparison.metric("accuracy")
    assert (accuracy.source, accuracy.artifact, accuracy.drop) == (0.75, 0.5, 0.25)
    with pytest.raises(KeyError, match="recall"):
        comparison.metric("recall")


def test_independent_scores_agree_when_the_same_classes_are_at_half_or_above() -> None:
    source = np.array([[0.9, 0.6, 0.1], [0.9, 0.4, 0.1]], np.float32)
    artifact = np.array([[0.7, 0.5, 0.4], [0.9, 0.5, 0.1]], np.float32)
    assert compare_scores(source, artifact, None).agreement == 1.0, "the top class is the same"
    found = compare_scores(source, artifact, None, multi_label=True)
    assert found.agreement == pytest.approx(5 / 6), "five of six decisions"
    assert found.details.flipped == 1
    assert [(one.label, one.agreement, one.lost, one.gained) for one in found.details.by_label] == [
        ("class 1", 0.5, 0, 1),
        ("class 0", 1.0, 0, 0),
        ("class 2", 1.0, 0, 0),
    ], "the worst label first"
    assert found.likeness["agreement on present labels"] == pytest.approx(2 * 3 / (3 + 4))


def _rarely_present(images: int, labels: int) -> np.ndarray:
    scores = np.full((images, labels), 0.1, np.float32)
    scores[np.arange(images), np.arange(images) % labels] = 0.9
    return scores


def test_an_artifact_that_finds_no_label_is_not_excused_by_those_that_are_absent() -> None:
    source = _rarely_present(200, 80)
    nothing = compare_scores(source, np.full_like(source, 0.1), None, multi_label=True)
    assert nothing.agreement == pytest.approx(79 / 80)
    assert nothing.likeness["agreement on present labels"] == 0.0
    requirements = Budget().requirements(nothing, 0.95)
    assert [(one.what, one.passed) for one in requirements] == [
        ("agreement", True),
        ("agreement on present labels", False),
    ]
    asked = Budget(min_agreement=0.9).requirements(nothing, 0.95)
    assert [one.what for one in asked] == ["agreement"], "what the user asks for is what is required"


def test_the_interval_of_independent_scores_takes_the_labels_of_an_image_as_one_observation() -> None:
    source = np.full((100, 50), 0.1, np.float32)
    together, apart = source.copy(), source.copy()
    together[:5] = 0.9  # five images that differ in every label
    apart.ravel()[:: 100 * 50 // 250] = 0.9  # as many decisions, spread over all images
    intervals = [
        compare_scores(source, artifact, None, multi_label=True).agreement_interval
        for artifact in (together, apart)
    ]
    hits = clopper_pearson(95, 100)
    assert intervals[0].low == pytest.approx(hits.low, abs=0.01), "as five misses in 100 images"
    assert intervals[1].low > intervals[0].low + 0.01
    assert [one.method for one in intervals] == ["gaffke"] * 2


def test_representative_images_show_as_many_classes_as_possible() -> None:
    task = ClassifyTask("scores", "softmax")
    evaluator = ClassificationEvaluator(task, ("a", "b", "c"), Preprocessing((4, 4), (0.0, 255.0)), None)
    scores = [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0.0, 0.4, 0.6]]
    rows = [np.array(row, np.float32) for row in scores]
    assert evaluator.representative(rows, 3) == [0, 3, 4]
    assert evaluator.representative(rows, 8) == [0, 1, 2, 3, 4]


def test_a_class_that_is_never_predicted_is_represented_by_the_image_with_its_highest_score() -> None:
    evaluator = ClassificationEvaluator(
        ClassifyTask("scores", "softmax"),
        ("a", "b", "c"),
        Preprocessing((4, 4), (0.0, 255.0)),
        np.array([0, 1, 2, 2]),
    )
    scores = [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.7, 0.2, 0.1], [0.6, 0.1, 0.3]]
    assert evaluator.representative([np.array(row, np.float32) for row in scores], 3) == [0, 1, 3]


def test_flips_name_image_classes_and_scores_the_worst_first() -> None:
    source = np.array([[0.55, 0.45], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], np.float32)
    artifact = np.array([[0.45, 0.55], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]], np.float32)
    names = ("w.png", "x.png", "y.png", "z.png")
    details = compare_scores(source, artifact, np.array([0, 1, 1, 1]), False, ("cat", "dog"), names).details
    assert details.flipped == 3
    assert [flip.image for flip in details.flips] == ["z.png", "w.png", "x.png"], (
        "those that were right go first"
    )
    first = details.flips[0]
    assert (first.source, first.artifact, first.truth) == (("dog",), ("cat",), ("dog",))
    assert (first.source_score, first.artifact_score) == (pytest.approx(0.7), pytest.approx(0.9))


def test_a_flip_of_independent_scores_has_all_classes_and_the_score_that_changed_most() -> None:
    source, artifact = np.array([[0.9, 0.6, 0.1]], np.float32), np.array([[0.9, 0.2, 0.1]], np.float32)
    (flip,) = compare_scores(source, artifact, None, True, ("a", "b", "c")).details.flips
    assert (flip.source, flip.artifact, flip.truth) == (("a", "b"), ("a",), None)
    assert (flip.source_score, flip.artifact_score) == (pytest.approx(0.6), pytest.approx(0.2))


def test_agreement_and_drop_have_intervals() -> None:
    comparison = compare_scores(
        np.tile(SOURCE, (50, 1)), np.tile(FLIPPED, (50, 1)), np.tile([0, 0, 1, 0], 50)
    )
    assert comparison.least_agreement == comparison.agreement_interval.low < comparison.agreement == 0.75
    accuracy = comparison.metric("accuracy")
    assert accuracy.drop_interval.low < accuracy.drop < accuracy.drop_interval.high == accuracy.largest_drop
    assert [one.label for one in comparison.by_class] == ["class 0", "class 1"]
    assert comparison.details.source_confusion.matrix(2).tolist() == [[100, 50], [0, 50]]
