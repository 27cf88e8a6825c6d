"""How many known answers a bundle gets."""

from __future__ import annotations

import pytest

from edgevision.evaluation.classify_proof import ClassifyProof
from edgevision.evaluation.measuring import _count_of_known_answers
from edgevision.preprocess import Preprocessing
from edgevision.tasks.description import ClassifyTask


@pytest.mark.parametrize(
    ("classes", "side", "count"),
    [(2, 32, 8), (10, 32, 10), (1000, 32, 64), (1000, 224, 53), (3, 640, 6), (3, 4000, 1)],
)
def test_there_is_one_for_each_class_within_bounds(classes: int, side: int, count: int) -> None:
    labels = tuple(str(number) for number in range(classes))
    how = Preprocessing((side, side), (0.0, 255.0))
    proof = ClassifyProof(ClassifyTask("scores", "softmax"), labels, how, None)
    assert _count_of_known_answers(proof) == count
