"""Heads that a model's metadata names: recognised by what it says, and decoded as their own readers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevision.decoder import family_resize, recognised
from edgevision.errors import InferenceError, OptionError
from edgevision.plugins import registry
from edgevision.tasks.recognition import choose_decoder, described_decoder
from edgevision.tensors import TensorSpec

SIZE = (32, 32)


def specs(**shapes: tuple[int | None, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, shape, "float32") for name, shape in shapes.items())


def decoded(name: str, outputs: dict[str, Any], threshold: float = 0.25, **settings: Any) -> Any:
    arrays = {key: np.asarray(value, np.float32) for key, value in outputs.items()}
    shapes = specs(**{key: value.shape for key, value in arrays.items()})
    head = registry().decoder(name).prepare(shapes, SIZE, settings)
    return head(arrays, threshold)


# DetectionOutput


def test_rows_behind_the_end_of_the_list_are_never_read() -> None:
    rows = np.full((1, 6, 7), np.nan, np.float32)
    rows[0, 0] = [0, 3, 0.5, 0.25, 0.5, 0.75, 1.0]
    rows[0, 1] = [0, 1, 0.2, 0, 0, 1, 1]
    rows[0, 2, 0] = -1
    found = decoded("detection-output", {"out": rows}, output="out", class_offset=1)
    assert found.class_ids.tolist() == [2]
    np.testing.assert_allclose(found.boxes_xyxy, [[8, 16, 24, 32]])
    assert found.scores.tolist() == [0.5]


def test_a_list_without_an_end_is_read_to_its_last_row_and_damage_in_it_is_an_error() -> None:
    rows = np.zeros((1, 3, 7), np.float32)
    rows[0, :, 1:] = [1, 0.9, 0, 0, 0.5, 0.5]
    assert len(decoded("detection-output", {"out": rows}, output="out").scores) == 3
    rows[0, 1, 4] = np.nan
    with pytest.raises(InferenceError, match="NaN"):
        decoded("detection-output", {"out": rows}, output="out")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 200, 7), True), ((1, 2, 7), True), ((1, 1, 7), False), ((2, 200, 7), False), ((200, 7), False)],
)
def test_detection_output_is_recognised_by_its_shape(shape: tuple[int, ...], expected: bool) -> None:
    decoder = registry().decoder("detection-output")
    assert (decoder.recognise(specs(out=shape), SIZE) == {"output": "out"}) is expected


# Boxes with their score


def test_boxes_with_their_score_take_their_class_from_the_other_output() -> None:
    boxes = [[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.1], [0.0, 1, 2, 3, 0.5]]
    found = decoded(
        "boxes-labels",
        {"boxes": boxes, "labels": [2, 7, 0]},
        boxes="boxes",
        classes="labels",
        box_unit="pixels",
    )
    assert found.class_ids.tolist() == [2, 0]
    np.testing.assert_allclose(found.boxes_xyxy, [[1, 2, 3, 4], [0, 1, 2, 3]])
    alone = decoded("boxes-labels", {"dets": boxes}, boxes="dets", box_unit="share")
    assert alone.class_ids.tolist() == [0, 0]
    np.testing.assert_allclose(alone.boxes_xyxy[0], [32, 64, 96, 128])


# YOLO


def test_a_grid_that_the_network_leaves_is_decoded_as_yolox_does() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(0, 0.3, (21, 8)).astype(np.float32)
    rows[:, 4:] = random.uniform(0.6, 1, (21, 4))
    found = decoded(
        "yolo",
        {"out": rows},
        output="out",
        transposed=False,
        objectness=True,
        box_unit="pixels",
        grid="relative",
    )
    grids, strides = [], []
    for stride in (8, 16, 32):  # the published demo: https://github.com/Megvii-BaseDetection/YOLOX
        xv, yv = np.meshgrid(np.arange(32 // stride), np.arange(32 // stride))
        grids.append(np.stack((xv, yv), 2).reshape(-1, 2))
        strides.append(np.full((len(grids[-1]), 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    centers, sizes = (rows[:, :2] + grid) * stride, np.exp(rows[:, 2:4]) * stride
    scores = rows[:, 4:5] * rows[:, 5:]
    kept = scores.max(axis=1) >= 0.25
    np.testing.assert_allclose(
        found.boxes_xyxy, np.hstack([centers - sizes / 2, centers + sizes / 2])[kept], rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(found.scores, scores.max(axis=1)[kept], rtol=1e-6)


def test_a_relative_grid_of_another_size_is_refused() -> None:
    with pytest.raises(OptionError, match="21 boxes, one per cell"):
        decoded(
            "yolo",
            {"out": np.zeros((20, 8))},
            output="out",
            transposed=False,
            objectness=True,
            box_unit="pixels",
            grid="relative",
        )


@pytest.mark.parametrize(
    ("shape", "classes", "expected"),
    [
        ((7, 21), 3, {"transposed": True, "objectness": False}),
        ((63, 8), 3, {"transposed": False, "objectness": True}),
        ((90, 25), 80, None),  # neither axis, and no grid
        ((7, 25), 3, {"transposed": True, "objectness": False}),  # other strides
        ((300, 6), 2, None),  # a head with NMS
        ((300, 6), 1, None),
        ((63, 6), 1, {"transposed": False, "objectness": True}),
        ((6, 21), 2, {"transposed": True, "objectness": False}),
    ],
)
def test_the_number_of_classes_tells_how_a_yolo_head_is_laid_out(
    shape: tuple[int, int], classes: int, expected: Any
) -> None:
    found = recognised(registry().decoder("yolo"), specs(out=shape), SIZE, classes)
    assert found == (None if expected is None else {"output": "out", **expected})


def test_centres_and_sizes_of_a_head_without_nms() -> None:
    rows = [[0.5, 0.5, 0.25, 0.5, 0.9, 1]]
    settings = {"output": "out", "box_unit": "share", "box_format": "cxcywh"}
    found = decoded("yolo-end2end", {"out": rows}, **settings)
    np.testing.assert_allclose(found.boxes_xyxy, [[12, 8, 20, 24]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("yolo", ("letterbox", 114)), ("yolo-end2end", ("letterbox", 114)), ("ssd", None), ("tflite-ssd", None)],
)
def test_a_family_says_how_its_images_are_fitted(name: str, expected: Any) -> None:
    assert family_resize(registry().decoder(name)) == expected


# SSD with the sizes of MediaPipe


def test_sizes_may_be_factors_of_the_anchors() -> None:
    settings = {
        "boxes": "boxes",
        "scores": "scores",
        "box_order": "yxhw",
        "background": "none",
        "activation": "none",
        "anchors": [[0.25, 0.5, 1.0, 0.5]],
        "scale_xy": 1.0,
        "scale_wh": 2.0,
    }
    outputs = {"boxes": [[0.25, 0.125, 0.5, 0.25]], "scores": [[0.1, 0.8]]}
    linear = decoded("ssd", outputs, **settings, sizes="linear")
    # y 0.25 * 0.5 + 0.5, x 0.125 * 1 + 0.25, h 0.5 / 2 * 0.5, w 0.25 / 2 * 1
    np.testing.assert_allclose(linear.boxes_xyxy, [[10, 18, 14, 22]], atol=1e-4)
    usual = decoded("ssd", outputs, **settings)
    assert usual.boxes_xyxy[0, 2] - usual.boxes_xyxy[0, 0] == pytest.approx(np.exp(0.125) * 32, rel=1e-5)


# The choice


def test_the_first_decoder_that_reads_the_outputs_is_taken() -> None:
    stated = {"yolo-end2end": {"box_unit": "share"}, "yolo": {"box_unit": "pixels", "objectness": False}}
    grid = described_decoder("m", specs(out=(7, 21)), SIZE, registry(), stated, 3)
    assert (grid.decoder.name, grid.settings["box_unit"]) == ("yolo", "pixels")
    corners = described_decoder("m", specs(out=(300, 6)), SIZE, registry(), stated, 3)
    assert (corners.decoder.name, corners.settings["box_unit"]) == ("yolo-end2end", "share")


def test_outputs_that_contradict_the_metadata_are_refused() -> None:
    stated = {"yolo": {"box_unit": "pixels", "objectness": False}}
    message = (
        r"m: its metadata says that it is a detector for 3 classes .* decoder yolo reads.*'out' \(8, 21\)"
    )
    with pytest.raises(OptionError, match=message):
        described_decoder("m", specs(out=(8, 21)), SIZE, registry(), stated, 3)


def test_the_output_of_detection_output_needs_no_option() -> None:
    choice = choose_decoder("m", specs(detection_out=(1, 200, 7)), (300, 300), registry())
    assert choice is not None
    assert (choice.decoder.name, choice.settings) == ("detection-output", {"output": "detection_out"})
