"""The number of known answers that a bundle keeps."""

from __future__ import annotations

import pytest

from edgevision.conversion.package import number_of_known_answers
from edgevision.evaluation.classification import ClassificationEvaluator
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tasks.description import ClassifyTask


@pytest.mark.parametrize(
    ("classes", "side", "count"),
    [(2, 32, 8), (10, 32, 10), (1000, 32, 64), (1000, 224, 53), (3, 640, 6), (3, 4000, 1)],
)
def test_there_is_one_known_answer_per_class_within_bounds(classes: int, side: int, count: int) -> None:
    labels = tuple(str(number) for number in range(classes))
    how = Preprocessing((side, side), (0.0, 255.0))
    evaluator = ClassificationEvaluator(ClassifyTask("scores", "softmax"), labels, how, None)
    assert number_of_known_answers(evaluator) == count
