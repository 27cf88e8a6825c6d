"""Detectors are compared with each other, and with ground truth by COCO metrics."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.datasets.annotations import Annotations
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.box_matching import match
from edgevision.metrics.coco import detect_measures
from edgevision.metrics.intervals import Interval
from edgevision.plugins import registry
from edgevision.tasks.box_overlap import iou
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detections import Detections

pytestmark = pytest.mark.convert  # pycocotools comes with that extra

LABELS = ("cell", "nucleus")


def _detections(*rows: tuple[float, ...]) -> Detections:
    values = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(values[:, :4], values[:, 4], values[:, 5].astype(np.int64), LABELS)


def _truth(*rows: tuple[float, ...]) -> Annotations:
    values = np.array(rows, np.float32).reshape(-1, 5)
    return Annotations(values[:, :4], values[:, 4].astype(np.int64), np.zeros(len(values), bool))


def _evaluator(truth: list[Annotations] | None = None) -> DetectionEvaluator:
    settings = {"output": "boxes", "box_unit": "pixels"}
    task = DetectTask("yolo-end2end", settings, score_threshold=0.5)
    how = Preprocessing((40, 20), (0.0, 255.0))
    return DetectionEvaluator(task, registry().decoder("yolo-end2end"), LABELS, how, truth)


def test_overlap_is_intersection_over_union() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]], np.float32)
    np.testing.assert_allclose(iou(boxes[:1], boxes)[0], [1.0, 50 / 150, 0.0, 0.0])


def test_each_box_is_matched_once_with_the_most_similar_of_its_class() -> None:
    source = _detections((0, 0, 10, 10, 0.9, 0), (0, 0, 10, 11, 0.8, 0), (50, 0, 60, 10, 0.7, 1))
    artifact = _detections((0, 0, 10, 10, 0.8, 0), (50, 0, 60, 10, 0.7, 0))
    pair = match(source, artifact)
    assert pair.boxes == 5
    np.testing.assert_allclose(pair.score_differences, [0.1], atol=1e-6)
    assert len(match(source, _detections()).score_differences) == 0


def test_agreement_counts_the_boxes_above_the_threshold_that_both_have() -> None:
    source = [
        _detections((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.6, 1), (0, 0, 3, 3, 0.1, 1)),
        _detections(),
    ]
    artifact = [_detections((0, 0, 10, 10, 0.85, 0), (20, 0, 30, 10, 0.4, 1)), _detections()]
    comparison = _evaluator().compare(source, artifact)
    assert comparison.images == 2
    assert comparison.agreement == pytest.approx(2 * 1 / 3)
    assert comparison.largest_difference == pytest.approx(0.05, abs=1e-6)
    assert comparison.metrics == ()
    assert _evaluator().compare([_detections()], [_detections()]).agreement == 1.0


def test_with_ground_truth_both_get_coco_metrics() -> None:
    truth = [_truth((0, 0, 10, 10, 0), (20, 0, 30, 10, 1)), _truth((0, 0, 8, 8, 0))]
    right = [_detections((0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 1)), _detections((0, 0, 8, 8, 0.9, 0))]
    half = [_detections((0, 0, 10, 10, 0.9, 0)), _detections((0, 0, 8, 8, 0.9, 0))]
    comparison = _evaluator(truth).compare(right, half)
    figures = {metric.name: (metric.source, metric.artifact) for metric in comparison.metrics}
    assert figures == {
        "mAP@0.50": (pytest.approx(1.0), pytest.approx(0.5)),
        "mAP@0.50:0.95": (pytest.approx(1.0), pytest.approx(0.5)),
        "recall": (pytest.approx(1.0), pytest.approx(0.5)),
    }


def test_no_detections_score_zero() -> None:
    truth = [_truth((0, 0, 10, 10, 0))]
    assert {one.value for one in detect_measures(truth, [_detections()], LABELS).metrics} == {0.0}


def test_representative_images_show_the_most_classes_then_objects() -> None:
    source = [
        _detections(),
        _detections((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.9, 0)),
        _detections((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.9, 1)),
        _detections((0, 0, 9, 9, 0.1, 0), (20, 0, 29, 9, 0.1, 1)),
    ]
    assert _evaluator().representative(source, 2) == [1, 2]


def test_ground_truth_of_crowds_alone_gives_no_negative_metric() -> None:
    pytest.importorskip("pycocotools", reason="needs the extra `convert`")
    box = np.array([[0, 0, 50, 50]], np.float32)
    crowd = Annotations(box, np.zeros(1, np.int64), np.ones(1, bool))
    detections = Detections(box, np.array([0.9], np.float32), np.zeros(1, np.int64))
    assert {one.value for one in detect_measures([crowd], [detections], LABELS[:1]).metrics} == {0.0}


def test_every_class_is_among_the_representative_images() -> None:
    source = [
        _detections((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.9, 0), (0, 20, 9, 29, 0.9, 0)),
        _detections((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.9, 0)),
        _detections((0, 0, 9, 9, 0.9, 1)),
    ]
    assert _evaluator().representative(source, 2) == [0, 2]
    assert _evaluator().representative([_detections(), _detections()], 8) == [0, 1]


def test_images_with_different_objects_are_listed_the_worst_first() -> None:
    one, two = (0, 0, 10, 10, 0.9, 0), (20, 0, 30, 10, 0.8, 1)
    comparison = _evaluator().compare(
        [_detections(one), _detections(one, two), _detections(one)],
        [_detections(one), _detections(), _detections(two)],
    )
    assert comparison.details.changed == 2
    worst, second = comparison.details.changes
    assert (worst.image, worst.matched, worst.lost, worst.gained) == ("image 1", 0, ("cell", "nucleus"), ())
    assert (second.image, second.lost, second.gained) == ("image 2", ("cell",), ("nucleus",))
    assert comparison.agreement_interval.low < comparison.agreement < comparison.agreement_interval.high


def test_a_source_is_measured_once_for_all_its_artifacts() -> None:
    truth = [_truth((0, 0, 10, 10, 0))]
    evaluator, source = _evaluator(truth), [_detections((0, 0, 10, 10, 0.9, 0))]
    first = evaluator.measure(source)
    for _ in range(3):
        evaluator.compare(source, [_detections((0, 0, 10, 9, 0.9, 0))])
    assert evaluator.measure(source) is first


def test_detectors_that_agree_on_all_images_may_differ_on_others() -> None:
    boxes = [_detections((0, 0, 10, 10, 0.9, 0)), _detections()] * 8
    comparison = _evaluator().compare(boxes, boxes)
    assert comparison.agreement == 1.0
    assert 0.6 < comparison.agreement_interval.low < 0.9 < comparison.agreement_interval.high == 1.0
    nothing = _evaluator().compare([_detections()] * 8, [_detections()] * 8)
    assert nothing.agreement_interval == Interval(0.0, 1.0, "gaffke"), "without boxes nothing is known"
