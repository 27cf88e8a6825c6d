"""Objects and their boxes, in pixels of the caller's image, whatever its size."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevision.errors import InferenceError, OptionError, PluginError
from edgevision.imaging.placement import placement_of
from edgevision.imaging.preprocess import RESIZE_MODES, Preprocessing
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detect import Detector
from edgevision.tasks.detections import Detections
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

FOUND = Detections(
    np.array([[0, 0, 10, 20], [5, 5, 15, 25], [1, 1, 2, 2]], np.float32),
    np.array([0.5, 0.9, 0.7], np.float32),
    np.array([0, 1, 1]),
    ("cell", "nucleus"),
)


def _detector(rows: Any, resize: str = "stretch", labels: tuple[str, ...] = ("cell", "nucleus"), **task: Any):
    """A network of 40 x 20 pixels that always finds `rows`: left, top, right, bottom, score, class."""
    backend = FakeBackend(answers={"found": np.array(rows, np.float32).reshape(1, -1, 6)})
    image = TensorSpec("image", (None, 20, 40, 3), "float32")
    output = TensorSpec("found", (None, len(rows), 6), "float32")
    session = open_session(backend, backend.artifact([image], [output]))
    how = Preprocessing((40, 20), (0.0, 255.0), resize=resize)
    settings = {"output": "found", "box_unit": "pixels"}
    decoder = registry().decoder("yolo-end2end")
    return Detector(session, how, labels, DetectTask("yolo-end2end", settings, **task), decoder)


ROWS = [[0, 0, 20, 10, 0.9, 0], [1, 0, 20, 10, 0.8, 0], [30, 10, 40, 20, 0.6, 1], [0, 0, 5, 5, 0.1, 1]]


def test_boxes_are_in_pixels_of_the_callers_image_the_best_first() -> None:
    found = _detector(ROWS)(np.zeros((100, 80, 3), np.uint8))
    assert [(one.label, round(one.score, 2)) for one in found] == [("cell", 0.9), ("nucleus", 0.6)]
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 40, 50], [60, 50, 80, 100]])
    assert found[0].box == (0.0, 0.0, 40.0, 50.0)


def test_thresholds_hold_for_the_model_and_for_one_call() -> None:
    model, image = _detector(ROWS, score_threshold=0.7), np.zeros((20, 40, 3), np.uint8)
    assert len(model(image)) == 1
    assert len(model(image, score_threshold=0.05)) == 3
    assert len(model(image, score_threshold=0.05, iou_threshold=1.0)) == 4
    assert len(model(image, score_threshold=0.05, max_detections=2)) == 2
    assert len(model(image)) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("score_threshold", 1.5), ("iou_threshold", -0.1), ("max_detections", 0)]
)
def test_a_threshold_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=name):
        _detector(ROWS)(np.zeros((20, 40, 3), np.uint8), **{name: value})
    with pytest.raises(OptionError, match=name):
        _detector(ROWS, **{name: value})


def test_a_batch_gives_each_image_its_own_boxes() -> None:
    images = [np.zeros((20, 40, 3), np.uint8), np.zeros((40, 80, 3), np.uint8)]
    small, large = _detector(ROWS)(images)
    np.testing.assert_allclose(large.boxes_xyxy, small.boxes_xyxy * 2)


def test_eight_threads_share_a_model() -> None:
    model = _detector(ROWS)
    sizes = [(20 + n, 40 + n) for n in range(40)]
    expected = [model(np.zeros((*size, 3), np.uint8)).boxes_xyxy for size in sizes]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda size: model(np.zeros((*size, 3), np.uint8)).boxes_xyxy, sizes))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 0, 1, 1, 0.9, 0], "NaN or infinity"),
        ([0, 0, 1, 1, 7.0, 0], "gave the score 7; expected 0…1"),
        ([0, 0, 1, 1, 0.9, 2], "gave class 2; expected 0…1, one of the labels"),
        ([0, 0, 1, 1, 0.9, -1], "gave class -1"),
    ],
)
def test_invalid_objects_are_an_error_and_never_an_empty_answer(row: list[float], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        _detector([row])(np.zeros((20, 40, 3), np.uint8))


def test_nothing_found_is_an_empty_answer() -> None:
    found = _detector([[0, 0, 1, 1, 0.0, 0]])(np.zeros((20, 40, 3), np.uint8))
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)
    assert list(found) == []
    assert found.to_dict() == {"objects": []}


SIZES = st.integers(1, 300)


@settings(deadline=None, max_examples=300)
@given(SIZES, SIZES, SIZES, SIZES, st.sampled_from(RESIZE_MODES), st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_mapped_to_the_input_and_back_are_unchanged(
    width: int, height: int, input_width: int, input_height: int, resize: str, shares: tuple[float, ...]
) -> None:
    place = placement_of(
        Preprocessing((input_width, input_height), (0.0, 1.0), resize=resize), (width, height)
    )
    box = np.sort(np.array(shares).reshape(2, 2), axis=0).reshape(1, 4) * (width, height, width, height)
    back = place.to_image(place.to_input(box))
    np.testing.assert_allclose(back, box, atol=1e-3)


@settings(deadline=None, max_examples=100)
@given(SIZES, SIZES, st.sampled_from(RESIZE_MODES))
def test_a_box_around_the_whole_input_stays_inside_the_image(width: int, height: int, resize: str) -> None:
    place = placement_of(Preprocessing((64, 48), (0.0, 1.0), resize=resize), (width, height))
    left, top, right, bottom = place.to_image(np.array([[-9.0, -9.0, 99.0, 99.0]]))[0]
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_selection_works_as_in_numpy() -> None:
    assert FOUND[1].label == "nucleus"
    assert FOUND[FOUND.scores > 0.6].labels == ("nucleus", "nucleus")
    assert FOUND[:1].boxes_xyxy.tolist() == [[0, 0, 10, 20]]
    assert FOUND[[2, 0]].scores.tolist() == pytest.approx([0.7, 0.5])
    assert [one.score for one in FOUND] == pytest.approx([0.9, 0.7, 0.5])


def test_detections_are_converted_for_other_tools() -> None:
    assert FOUND.to_coco(7)[0] == {
        "image_id": 7,
        "category_id": 1,
        "bbox": [5.0, 5.0, 10.0, 20.0],
        "score": pytest.approx(0.9),
    }
    document = json.loads(json.dumps(FOUND.to_dict()))
    assert document["objects"][0]["label"] == "nucleus"
    assert document["objects"][0]["box_xyxy"] == [5.0, 5.0, 15.0, 25.0]


def test_a_missing_supervision_is_named_with_the_install_command() -> None:
    try:
        import supervision  # noqa: F401
    except ImportError:
        with pytest.raises(PluginError, match="pip install supervision"):
            FOUND.to_supervision()
    else:
        assert len(FOUND.to_supervision()) == 3


TRACKED = replace(FOUND, tracker_id=np.array([-1, 7, 3], np.int64))


def test_ids_of_followed_objects_go_with_them() -> None:
    assert [one.tracker_id for one in TRACKED] == [7, 3, -1]  # the best first
    assert TRACKED[[2, 0]].tracker_id.tolist() == [3, -1]  # type: ignore[union-attr]
    assert TRACKED[1].tracker_id == 7
    assert [one["tracker_id"] for one in TRACKED.to_dict()["objects"]] == [7, 3, -1]
    assert [one["tracker_id"] for one in TRACKED.to_coco(1)] == [7, 3, -1]
    json.dumps(TRACKED.to_dict())
    with pytest.raises(OptionError, match="expected tracker ids"):
        replace(FOUND, tracker_id=np.zeros(2, np.int64))


def test_without_tracking_nothing_has_an_id() -> None:
    assert FOUND[1].tracker_id is None
    assert FOUND[:1].tracker_id is None
    assert "tracker_id" not in json.dumps([FOUND.to_dict(), FOUND.to_coco(1)])


def test_supervision_gets_the_ids() -> None:
    pytest.importorskip("supervision")
    assert TRACKED.to_supervision().tracker_id.tolist() == [-1, 7, 3]
    assert FOUND.to_supervision().tracker_id is None


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(OptionError, match="expected boxes"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(3, np.float32), np.zeros(3, np.int64))


def test_there_must_be_one_label_per_class() -> None:
    model = _detector(ROWS, labels=())
    assert [one.label for one in model(np.zeros((20, 40, 3), np.uint8))] == ["class 0", "class 1"]
