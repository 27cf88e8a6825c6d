"""Agreement, accuracy and differences, on scores whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.evaluation.comparison import compare_scores

SOURCE = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]], np.float32)
FLIPPED = np.array([[0.8, 0.2], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], np.float32)


def test_equal_scores_agree_wholly() -> None:
    same = compare_scores(SOURCE, SOURCE, None)
    assert (same.images, same.agreement, same.largest_difference, same.mean_difference) == (4, 1.0, 0.0, 0.0)
    assert (same.accuracy, same.source_accuracy, same.accuracy_drop) == (None, None, None)


def test_one_flipped_decision_of_four() -> None:
    found = compare_scores(SOURCE, FLIPPED, np.array([0, 0, 1, 0]))
    assert found.agreement == 0.75
    assert found.largest_difference == pytest.approx(0.2)
    assert found.mean_difference == pytest.approx(0.6 / 8)
    assert (found.source_accuracy, found.accuracy, found.accuracy_drop) == (0.75, 0.5, 0.25)


def test_independent_scores_agree_when_the_same_classes_are_at_half_or_above() -> None:
    source = np.array([[0.9, 0.6, 0.1], [0.9, 0.4, 0.1]], np.float32)
    artifact = np.array([[0.7, 0.5, 0.4], [0.9, 0.5, 0.1]], np.float32)
    assert compare_scores(source, artifact, None).agreement == 1.0, "the top class is the same"
    assert compare_scores(source, artifact, None, multi_label=True).agreement == 0.5
