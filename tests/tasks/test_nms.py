"""Non-maximum suppression, compared with a plain implementation of its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevision.tasks.box_overlap import iou
from edgevision.tasks.nms import suppress


def _plain(boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for place in np.argsort(-scores, kind="stable"):
        rivals = [other for other in kept if class_ids[other] == class_ids[place]]
        overlaps = [
            iou(boxes[[place]].astype(np.float64), boxes[[other]].astype(np.float64))[0, 0]
            for other in rivals
        ]
        if all(overlap <= threshold for overlap in overlaps):
            kept.append(int(place))
    return kept


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60), st.integers(0, 2**32 - 1), st.sampled_from([0.31, 0.5, 0.77]))
def test_nms_keeps_the_boxes_of_its_definition(count: int, seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + rng.integers(1, 30, (count, 2))], axis=1).astype(np.float32)
    scores = rng.integers(0, 20, count).astype(np.float32) / 20
    class_ids = rng.integers(0, 3, count)
    assert suppress(boxes, scores, class_ids, threshold).tolist() == _plain(
        boxes, scores, class_ids, threshold
    )


def test_boxes_of_other_classes_and_the_threshold_of_one_drop_nothing() -> None:
    boxes = np.array([[0, 0, 10, 10]] * 3, np.float32)
    scores = np.array([0.5, 0.9, 0.7], np.float32)
    assert suppress(boxes, scores, np.array([0, 1, 2]), 0.5).tolist() == [1, 2, 0]
    assert suppress(boxes, scores, np.array([0, 0, 0]), 1.0).tolist() == [1, 2, 0]
    assert suppress(boxes, scores, np.array([0, 0, 0]), 0.5).tolist() == [1]
