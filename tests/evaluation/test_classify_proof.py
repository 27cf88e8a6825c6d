"""Classifiers are held against each other on scores whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluation.classify_proof import ClassifyProof, compare_scores
from edgevision.preprocess import Preprocessing
from edgevision.tasks.description import ClassifyTask

SOURCE = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)
FLIPPED = np.array([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], np.float32)


def test_equal_scores_agree_wholly() -> None:
    same = compare_scores(SOURCE, SOURCE, None)
    assert (same.images, same.agreement, same.largest_difference, same.mean_difference) == (4, 1.0, 0.0, 0.0)
    assert same.metrics == ()


def test_one_flipped_decision_of_four() -> None:
    found = compare_scores(SOURCE, FLIPPED, np.array([0, 0, 1, 0]))
    assert found.agreement == 0.75
    assert found.largest_difference == pytest.approx(0.2)
    assert found.mean_difference == pytest.approx(0.6 / 8)
    accuracy = found.metric("accuracy")
    assert (accuracy.source, accuracy.artifact, accuracy.drop) == (0.75, 0.5, 0.25)
    with pytest.raises(KeyError, match="recall"):
        found.metric("recall")


def test_independent_scores_agree_when_the_same_classes_are_at_half_or_above() -> None:
    source = np.array([[0.9, 0.6, 0.1], [0.9, 0.4, 0.1]], np.float32)
    artifact = np.array([[0.7, 0.5, 0.4], [0.9, 0.5, 0.1]], np.float32)
    assert compare_scores(source, artifact, None).agreement == 1.0, "the top class is the same"
    assert compare_scores(source, artifact, None, multi_label=True).agreement == 0.5


def test_the_images_that_tell_most_show_every_class_that_there_is_room_for() -> None:
    task = ClassifyTask("scores", "softmax")
    proof = ClassifyProof(task, ("a", "b", "c"), Preprocessing((4, 4), (0.0, 255.0)), None)
    scores = [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0], [0.1, 0.9, 0.0], [0.0, 0.4, 0.6]]
    rows = [np.array(row, np.float32) for row in scores]
    assert proof.telling(rows, 3) == [0, 3, 4]
    assert proof.telling(rows, 8) == [0, 1, 2, 3, 4]
