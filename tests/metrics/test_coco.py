"""COCO metrics, compared with pycocotools, and what each image contributes to them."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from edgevision.datasets.annotations import Annotations
from edgevision.metrics.coco import detect_measures
from edgevision.metrics.measures import drop_interval
from edgevision.tasks.detections import Detections

pytestmark = pytest.mark.convert  # pycocotools comes with that extra

LABELS = ("a", "b", "c")


def _scene(random: np.random.Generator) -> tuple[Annotations, Detections]:
    """Objects, with boxes near them and elsewhere; scores in coarse steps, so that many are equal."""
    count = int(random.integers(0, 6))
    corners = random.uniform(0, 80, (count, 2))
    boxes = np.concatenate([corners, corners + random.uniform(5, 40, (count, 2))], axis=1).astype(np.float32)
    classes = random.integers(0, 2, count)
    near = boxes[random.random(count) < 0.8] if count else boxes
    near = near + random.normal(0, 2.5, near.shape)
    extra = random.uniform(0, 60, (int(random.integers(0, 5)), 4)) + np.array((0, 0, 50, 50))
    found = np.concatenate([near, extra]).astype(np.float32)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    truth = Annotations(boxes, classes, random.random(count) < 0.1)
    ids = random.integers(0, 2, len(found))
    ids[: len(near)] = np.where(random.random(len(near)) < 0.8, 0, 1)
    return truth, Detections(found, (random.integers(1, 20, len(found)) / 20).astype(np.float32), ids, LABELS)


def _set(images: int, seed: int = 0) -> tuple[list[Annotations], list[Detections]]:
    random = np.random.default_rng(seed)
    pairs = [_scene(random) for _ in range(images)]
    return [truth for truth, _ in pairs], [found for _, found in pairs]


def _pycocotools(truth: list[Annotations], found: list[Detections]) -> tuple[float, float, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    entries: list[dict[str, Any]] = []
    for number, image in enumerate(truth):
        for box, class_id, crowd in zip(
            image.boxes_xyxy.tolist(), image.class_ids, image.crowds, strict=True
        ):
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            entry = {"id": len(entries) + 1, "image_id": number, "category_id": int(class_id), "bbox": bbox}
            entries.append({**entry, "area": bbox[2] * bbox[3], "iscrowd": int(crowd)})
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = {
            "info": {},
            "images": [{"id": number} for number in range(len(truth))],
            "categories": [{"id": number} for number in range(len(LABELS))],
            "annotations": entries,
        }
        known.createIndex()
        results = [row for number, one in enumerate(found) for row in one.to_coco(number)]
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[1], evaluation.stats[0], evaluation.stats[8]


@pytest.mark.parametrize("seed", range(4))
def test_the_metrics_agree_with_pycocotools(seed: int) -> None:
    truth, found = _set(40, seed)
    values = tuple(one.value for one in detect_measures(truth, found, LABELS).metrics)
    assert values == pytest.approx(_pycocotools(truth, found), abs=1e-12)


def test_the_contribution_of_an_image_is_what_repeating_it_changes() -> None:
    truth, found = _set(80)
    repeated = np.array(
        [
            [one.value for one in detect_measures([*truth, truth[n]], [*found, found[n]], LABELS).metrics]
            for n in range(0, 80, 4)
        ]
    )
    for place, metric in enumerate(detect_measures(truth, found, LABELS).metrics):
        mean = metric.observations.mean
        assert mean.value == pytest.approx(metric.value)
        changes = mean.amounts - metric.value * mean.weights
        assert np.corrcoef(changes[::4], repeated[:, place] - metric.value)[0, 1] > 0.9, metric.name


def test_models_without_a_changed_box_may_differ_on_other_images() -> None:
    truth, found = _set(60)
    first, second = (detect_measures(truth, found, LABELS) for _ in range(2))
    for before, after in zip(first.metrics, second.metrics, strict=True):
        interval = drop_interval(before, after)
        assert interval.low < 0 < interval.high
    more = detect_measures(truth * 10, found * 10, LABELS).metrics[0]
    assert drop_interval(more, more).high < drop_interval(first.metrics[0], first.metrics[0]).high / 5


def test_without_objects_nothing_is_bounded() -> None:
    empty = Annotations(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))
    metrics = [detect_measures([empty] * 9, [_found((0, 0, 9, 9))] * 9, LABELS).metrics[0] for _ in range(2)]
    assert metrics[0].interval is None
    assert drop_interval(*metrics) is None


def test_images_of_a_group_are_one_trial() -> None:
    truth, found = _set(40)
    apart = detect_measures(truth * 5, found * 5, LABELS).metrics
    together = detect_measures(truth * 5, found * 5, LABELS, groups=np.tile(np.arange(40), 5)).metrics
    once = detect_measures(truth, found, LABELS).metrics
    for copies, group, alone in zip(apart, together, once, strict=True):
        width = group.interval.high - group.interval.low
        assert width > 1.8 * (copies.interval.high - copies.interval.low)
        assert width == pytest.approx(alone.interval.high - alone.interval.low, rel=0.1)


def test_every_annotated_class_has_its_own_precision_and_interval() -> None:
    truth, found = _set(40)
    measures = detect_measures(truth, found, LABELS)
    assert [one.label for one in measures.by_class] == ["a", "b"]
    assert measures.metrics[0].value == pytest.approx(
        np.mean([one.metrics[0].value for one in measures.by_class])
    )
    for metric in measures.metrics:
        assert 0.0 <= metric.interval.low < metric.value < metric.interval.high <= 1.0
        assert metric.interval.method == "gaffke"


def _one(box: tuple[float, ...], **marks: Any) -> Annotations:
    boxes = np.array([[0, 0, 40, 40], box], np.float32)
    return Annotations(boxes, np.zeros(2, np.int64), np.zeros(2, bool), **marks)


def _found(*boxes: tuple[float, ...]) -> Detections:
    scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), scores, np.zeros(len(boxes), np.int64), LABELS
    )


def test_a_difficult_object_counts_neither_as_detected_nor_as_missed() -> None:
    hard = _one((60, 60, 90, 90), difficult=np.array([False, True]))
    measured = lambda *boxes: detect_measures([hard], [_found(*boxes)], LABELS)  # noqa: E731
    easy, twice = (0, 0, 40, 40), ((60, 60, 90, 89), (60, 60, 89, 90))
    assert measured(easy).metrics[0].value == pytest.approx(1.0), "it is not missed"
    assert measured(*twice, easy).metrics[0].value == pytest.approx(1.0), (
        "nor are boxes on it wrong, as in VOC"
    )
    assert measured(*twice, easy).errors.tolist() == [0.0]
    assert measured(easy).by_class[0].support == 1
    inside = (65, 65, 75, 75)
    assert measured(inside, easy).metrics[0].value == pytest.approx(0.5), (
        "a box inside it is not on it, as in VOC"
    )
    assert measured(easy).notes == ("objects marked difficult, counted neither as detected nor as missed: 1",)


def test_errors_count_missed_objects_and_false_detections() -> None:
    truth = _one((60, 60, 90, 90))
    far = (0, 60, 20, 80)
    measures = detect_measures([truth, truth], [_found((0, 0, 40, 40)), _found(far, far)], LABELS)
    assert measures.errors.tolist() == [1.0, 4.0]


def test_left_out_objects_are_noted() -> None:
    truth = Annotations(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool), left_out=3)
    assert detect_measures([truth], [_found()], LABELS).notes == (
        "annotated objects of zero width or height, left out: 3",
    )
