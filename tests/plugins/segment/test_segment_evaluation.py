"""Metrics of segmentations, against numbers computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevision.errors import InputError
from edgevision.imaging.preprocess import Preprocessing
from edgevision_segment.description import SegmentTask
from edgevision_segment.evaluation import SegmentationEvaluator
from edgevision_segment.segmentation import VOID, Segmentation

LABELS = ("background", "cell", "nucleus")
TASK = SegmentTask("map", "softmax")
HOW = Preprocessing((16, 16), (0.0, 255.0))


def _evaluator(truth: list[Any] | None, groups: Any = None) -> SegmentationEvaluator:
    return SegmentationEvaluator(TASK, LABELS, HOW, truth, groups=groups)


def _square(left: int, number: int = 1, side: int = 16) -> np.ndarray:
    classes = np.zeros((side, side), np.uint8)
    classes[4:8, left : left + 4] = number
    return classes


def _found(*maps: np.ndarray) -> list[Segmentation]:
    return [Segmentation(one, LABELS) for one in maps]


def test_dice_and_iou_are_pooled_over_images_and_background_is_no_class_of_the_mean() -> None:
    evaluator = _evaluator([_square(0), _square(0)])
    measures = evaluator.measure(_found(_square(0), _square(2)))  # 16 of 16, and 8 of 16 pixels
    assert measures is not None
    values = {metric.name: metric.value for metric in measures.metrics}
    assert values["mean Dice"] == pytest.approx(2 * 24 / 64)
    assert values["mean IoU"] == pytest.approx(24 / 40)
    assert values["pixel accuracy"] == pytest.approx((512 - 16) / 512)
    assert measures.errors.tolist() == pytest.approx([0, 1 - 8 / 24])
    rows = {row.label: row for row in measures.by_class}
    assert set(rows) == {"background", "cell"}
    assert rows["cell"].support == 2
    assert [one.name for one in rows["cell"].metrics] == ["IoU", "Dice"]


def test_every_metric_has_an_interval_that_contains_it() -> None:
    random = np.random.default_rng(0)
    truth = [_square(int(random.integers(0, 12)), int(random.integers(1, 3))) for _ in range(40)]
    found = [np.roll(one, int(random.integers(0, 2)), axis=1) for one in truth]
    measures = _evaluator(truth).measure(_found(*found))
    grouped = _evaluator(truth, np.arange(40) // 8).measure(_found(*found))
    assert measures is not None
    assert grouped is not None
    for metric, of_groups in zip(measures.metrics, grouped.metrics, strict=True):
        assert metric.interval is not None
        assert of_groups.interval is not None
        assert metric.interval.low <= metric.value <= metric.interval.high
        widths = [one.high - one.low for one in (metric.interval, of_groups.interval)]
        assert widths[1] > widths[0], "five groups tell less than forty images"


def test_void_pixels_do_not_count() -> None:
    truth = _square(0)
    truth[8:] = VOID
    found = _square(0)
    found[8:] = 2
    measures = _evaluator([truth]).measure(_found(found))
    assert measures is not None
    assert [metric.value for metric in measures.metrics] == [1.0] * 4
    assert measures.notes == ("50.0 % of the pixels of the masks are left out (255)",)


def test_an_outline_that_is_off_by_more_than_the_tolerance_is_wrong() -> None:
    side = 200  # the tolerance is 0.75 % of the diagonal: 2 pixels
    truth = np.zeros((side, side), np.uint8)
    truth[50:150, 50:150] = 1

    def boundary(shift: int) -> float:
        measures = _evaluator([truth]).measure(_found(np.roll(truth, shift, axis=1)))
        assert measures is not None
        return {metric.name: metric.value for metric in measures.metrics}["boundary F1"]

    assert boundary(2) == 1.0
    assert 0.4 < boundary(10) < 0.6, "the outlines above and below still are where they were"


def test_a_drop_is_paired_and_its_interval_contains_it() -> None:
    truth = [_square(place % 12) for place in range(60)]
    worse = [np.roll(one, place % 2, axis=1) for place, one in enumerate(truth)]
    comparison = _evaluator(truth).compare(_found(*truth), _found(*worse))
    dice = comparison.metric("mean Dice")
    assert dice.source == 1.0
    assert dice.artifact == pytest.approx((16 + 12) / 32)
    assert dice.drop_interval is not None
    assert 0 < dice.drop_interval.low <= dice.drop <= dice.drop_interval.high
    back = _evaluator(truth).compare(_found(*worse), _found(*truth)).metric("mean Dice")
    assert back.drop == pytest.approx(-dice.drop)


def test_agreement_says_how_many_pixels_and_objects_are_the_same() -> None:
    source, artifact = _found(_square(0), _square(0)), _found(_square(0), _square(8))
    comparison = _evaluator(None).compare(source, artifact)
    assert comparison.metrics == ()
    assert comparison.agreement == pytest.approx(1 - 32 / 512)
    assert comparison.likeness["Dice with the source"] == pytest.approx(0.5)
    assert comparison.likeness["objects in both"] == pytest.approx(0.5)
    assert set(comparison.likeness_intervals) == set(comparison.likeness)
    assert comparison.details is not None
    assert comparison.details.changes[0].text == "12.50 % of the pixels"  # type: ignore[union-attr]
    same = _evaluator(None).compare(source, source)
    assert same.agreement == same.likeness["objects in both"] == 1.0
    assert same.details is not None
    assert same.details.changed == 0  # type: ignore[union-attr]


def test_images_that_show_nothing_but_background_are_compared_too() -> None:
    empty = _found(_square(0, 0), _square(0, 0))
    comparison = _evaluator(None).compare(empty, empty)
    assert comparison.agreement == 1
    assert comparison.likeness == {}
    found = _evaluator(None).compare(empty, _found(_square(0), _square(0, 0)))
    assert found.likeness == {"objects in both": 0.0}


def test_masks_of_another_size_and_masks_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="mask of 'image 0' is 16x16, and the image 8x8"):
        _evaluator([_square(0)]).measure(_found(_square(0, side=8)))
    with pytest.raises(InputError, match="none of the classes but background"):
        _evaluator([_square(0, 0)]).measure(_found(_square(0)))


def test_representative_images_show_every_class() -> None:
    maps = _found(_square(0, 0), _square(0, 1), _square(0, 1), _square(0, 2))
    chosen = _evaluator(None).representative(maps, 2)
    assert {1, 3} == set(chosen) or {2, 3} == set(chosen)
