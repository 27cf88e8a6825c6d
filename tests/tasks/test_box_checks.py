"""Boxes in another unit or format than stated are an error that names the setting, never "nothing found"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from edgevision.decoder import Candidates
from edgevision.errors import InferenceError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.box_checks import BoxCheck
from edgevision.tasks.decoders.yolo import cell_count
from edgevision.tasks.description import DetectTask
from edgevision.tasks.detect import Detector
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

WIDTH, HEIGHT = 320, 160
#: Left, top, right, bottom in pixels: an ordinary box, one across the whole image, a small one in a corner.
BOXES = {"box": (100, 20, 180, 90), "whole": (0, 0, WIDTH, HEIGHT), "corner": (4, 4, 24, 14)}
SHARES = (WIDTH, HEIGHT, WIDTH, HEIGHT)


def _detector(
    decoder: Any, settings: Mapping[str, Any], outputs: Mapping[str, Any], labels: Sequence[str] = ()
):
    answers = {name: np.asarray(values, np.float32)[None] for name, values in outputs.items()}
    backend = FakeBackend(answers=answers)
    image = TensorSpec("image", (1, HEIGHT, WIDTH, 3), "float32")
    specs = [TensorSpec(name, values.shape, "float32") for name, values in answers.items()]
    session = open_session(backend, backend.artifact([image], specs))
    named = registry().decoder(decoder) if isinstance(decoder, str) else decoder
    return Detector(
        session, Preprocessing((WIDTH, HEIGHT), (0, 255)), labels, DetectTask(named.name, settings), named
    )


def _centre(box: Sequence[float]) -> list[float]:
    left, top, right, bottom = box
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def _yolo(box: Sequence[float], unit: str):
    rows = np.zeros((cell_count((WIDTH, HEIGHT)), 6), np.float32)
    rows[0] = [*_centre(box), 0.1, 0.9]
    settings = {"output": "o", "transposed": False, "objectness": False, "box_unit": unit}
    return _detector("yolo", settings, {"o": rows})


def _end2end(box: Sequence[float], unit: str):
    rows = np.zeros((300, 6), np.float32)
    rows[0] = [*box, 0.9, 1]
    return _detector("yolo-end2end", {"output": "o", "box_unit": unit}, {"o": rows})


def _plain(box: Sequence[float], unit: str):
    settings = {"boxes": "b", "scores": "s", "box_format": "xyxy", "box_unit": unit}
    return _detector("boxes-scores", settings, {"b": [box], "s": [[0.1, 0.9]]})


class PluginsDecoder:
    """A decoder as a plugin may have it."""

    name = "plugins"
    classes = None

    def recognise(self, outputs: object, input_size_wh: object) -> None:
        return None

    def prepare(self, outputs: object, input_size_wh: tuple[int, int], settings: Mapping[str, Any]) -> Any:
        self.factors = input_size_wh * 2 if settings["box_unit"] == "share" else (1, 1, 1, 1)
        return self

    def __call__(self, outputs: Mapping[str, Any], score_threshold: float) -> Candidates:
        boxes = outputs["o"] * np.array(self.factors, np.float32)
        return Candidates(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int64))


def _plugin(box: Sequence[float], unit: str):
    return _detector(PluginsDecoder(), {"box_unit": unit}, {"o": [box]})


DETECTORS = {"yolo": _yolo, "yolo-end2end": _end2end, "boxes-scores": _plain, "plugin": _plugin}
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("decoder", DETECTORS)
def test_one_box_in_the_other_unit_is_enough(decoder: str, box: str) -> None:
    pixels, build = BOXES[box], DETECTORS[decoder]
    shares = tuple(np.divide(pixels, SHARES))
    for right in (build(pixels, "pixels"), build(shares, "share")):
        np.testing.assert_allclose(right(IMAGE).boxes_xyxy, [pixels], rtol=1e-5)
    with pytest.raises(InferenceError, match=r"fits no pixel.*box_unit is 'pixels'; set it to share") as tiny:
        build(shares, "pixels")(IMAGE)
    assert f"{max(shares):.4g}" in str(tiny.value)
    with pytest.raises(InferenceError, match=r"box_unit is 'share'; set it to pixels") as huge:
        build(pixels, "share")(IMAGE)
    assert f"{max(pixels):.4g} as a share" in str(huge.value)


@pytest.mark.parametrize("unit", ["cells", "pixels", "share"])
@pytest.mark.parametrize("stated", ["cells", "pixels", "share"])
def test_sizes_of_a_heat_map_in_another_unit(unit: str, stated: str) -> None:
    rows, columns = HEIGHT // 8, WIDTH // 8
    sizes = {"cells": (10, 9), "pixels": (80, 72), "share": (80 / WIDTH, 72 / HEIGHT)}
    heat, size = np.zeros((rows, columns, 1), np.float32), np.zeros((rows, columns, 2), np.float32)
    heat[10, 20], size[10, 20] = 0.9, sizes[unit]
    names = {"heatmap": "heatmap", "size": "size", "offset": "offset", "size_unit": stated}
    outputs = {"heatmap": heat, "size": size, "offset": np.zeros((rows, columns, 2), np.float32)}
    model = _detector("heatmap", names, outputs)
    if (unit, stated) in {("share", "pixels"), ("pixels", "share"), ("cells", "share")}:
        with pytest.raises(InferenceError, match="size_unit"):
            model(IMAGE)
    else:  # too large or too small by eight is no evidence
        assert len(model(IMAGE)) == 1


def test_pixels_from_the_operator_of_tflite() -> None:
    outputs = {"b": [[20, 100, 90, 180]], "c": [0], "s": [0.9], "n": 1}
    settings = {"boxes": "b", "classes": "c", "scores": "s", "count": "n"}
    with pytest.raises(InferenceError, match="far outside.*decoder 'tflite-ssd'"):
        _detector("tflite-ssd", settings, outputs)(IMAGE)


@pytest.mark.parametrize("stated", ["xyxy", "yxyx", "xywh", "cxcywh"])
@pytest.mark.parametrize("actual", ["xyxy", "yxyx", "xywh", "cxcywh"])
def test_another_format_is_never_nothing_found(stated: str, actual: str) -> None:
    left, top, right, bottom = 200, 100, 230, 140
    values = {
        "xyxy": (left, top, right, bottom),
        "yxyx": (top, left, bottom, right),
        "xywh": (left, top, right - left, bottom - top),
        "cxcywh": _centre((left, top, right, bottom)),
    }
    settings = {"boxes": "b", "scores": "s", "box_format": stated, "box_unit": "pixels"}
    model = _detector("boxes-scores", settings, {"b": [values[actual]], "s": [[0.9]]})
    possible = {
        ("xywh", "xyxy"),
        ("xywh", "cxcywh"),
        ("cxcywh", "xywh"),
        ("cxcywh", "xyxy"),
        ("cxcywh", "yxyx"),
    }
    if stated == actual or (stated, actual) in possible:
        assert len(model(IMAGE)) == 1  # one box of another size or place is no evidence
    else:
        with pytest.raises(InferenceError, match="box_format"):
            model(IMAGE)


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [[0, 0, 0, 0]],
        [[0, 0, 0, 0], [100, 20, 180, 90]],
        [[-30, -20, 40, 30]],
        [[300, 150, 420, 260]],
        [[10, 10, 11, 11]],
        [[100, 20, 100.5, 20.5], [10, 10, 60, 60]],
        [[-600, -300, 900, 500]],
        [[200, 100, 199.5, 120], [10, 10, 60, 60]],
        [[n, n, n + 50, n + 20] for n in range(80)],
    ],
    ids=str,
)
def test_what_a_network_may_well_give_is_no_alarm(boxes: list[list[float]]) -> None:
    BoxCheck((WIDTH, HEIGHT), "d", {"box_unit": "pixels"})(np.array(boxes, np.float32).reshape(-1, 4))


def test_after_enough_plausible_boxes_nothing_is_checked() -> None:
    check = BoxCheck((WIDTH, HEIGHT), "d", {"box_unit": "pixels"})
    for _ in range(40):
        check(np.array([BOXES["box"]], np.float32))
    check(np.array([[0.1, 0.1, 0.2, 0.2]], np.float32))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0.4, "gave the class 0.4; expected a whole number"),
        (np.nan, "NaN"),
        (1e30, "gave the class 1e"),
        (-1, "class -1; expected"),
    ],
)
@pytest.mark.parametrize(
    "decoder", ["yolo-end2end", "tflite-ssd", "boxes-scores", "detection-output", "boxes-labels"]
)
def test_a_class_that_is_none_is_refused(decoder: str, value: float, reason: str) -> None:
    box = BOXES["box"]
    if decoder == "yolo-end2end":
        model = _detector(decoder, {"output": "o", "box_unit": "pixels"}, {"o": [[*box, 0.9, value]]})
    elif decoder == "detection-output":
        settings = {"output": "o", "box_unit": "pixels"}
        model = _detector(decoder, settings, {"o": [[[0, value, 0.9, *box]]]})
    elif decoder == "boxes-labels":
        settings = {"boxes": "b", "classes": "c", "box_unit": "pixels"}
        model = _detector(decoder, settings, {"b": [[*box, 0.9]], "c": [value]})
    elif decoder == "tflite-ssd":
        outputs = {"b": [np.divide(box, SHARES)], "c": [value], "s": [0.9], "n": 1}
        model = _detector(decoder, {"boxes": "b", "classes": "c", "scores": "s", "count": "n"}, outputs)
    else:
        settings = {"boxes": "b", "scores": "s", "classes": "c", "box_format": "xyxy", "box_unit": "pixels"}
        model = _detector(decoder, settings, {"b": [box], "s": [0.9], "c": [value]})
    with pytest.raises(InferenceError, match=reason):
        model(IMAGE)


def test_a_class_one_beyond_the_labels_tells_of_classes_from_one() -> None:
    settings = {"boxes": "b", "scores": "s", "classes": "c", "box_format": "xyxy", "box_unit": "pixels"}
    outputs = {"b": [BOXES["box"]], "s": [0.9], "c": [2]}
    with pytest.raises(InferenceError, match="class 2; expected 0…1, one of the labels; .*class_offset to 1"):
        _detector("boxes-scores", settings, outputs, ("cat", "dog"))(IMAGE)


def test_class_ids_of_a_plugin_are_whole_numbers() -> None:
    class Floating(PluginsDecoder):
        def __call__(self, outputs: Mapping[str, Any], score_threshold: float) -> Candidates:
            found = super().__call__(outputs, score_threshold)
            return Candidates(found.boxes_xyxy, found.scores, found.class_ids + 0.5)

    with pytest.raises(InferenceError, match="class ids of float64; expected int64"):
        _detector(Floating(), {"box_unit": "pixels"}, {"o": [BOXES["box"]]})(IMAGE)


@pytest.mark.parametrize("decoder", ["yolo-end2end", "tflite-ssd", "heatmap", "yolo"])
def test_logits_below_the_threshold_are_not_dropped_in_silence(decoder: str) -> None:
    logit, box = -7.5, BOXES["box"]
    cells = cell_count((WIDTH, HEIGHT))
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "yolo-end2end": ({"output": "o", "box_unit": "pixels"}, {"o": [[*box, logit, 1]]}),
        "tflite-ssd": (
            {"boxes": "b", "classes": "c", "scores": "s", "count": "n"},
            {"b": [[0, 0, 1, 1]], "c": [0], "s": [logit], "n": 1},
        ),
        "heatmap": (
            {"heatmap": "h", "size": "s", "offset": "o", "size_unit": "cells"},
            {"h": np.full((4, 8, 1), logit), "s": np.ones((4, 8, 2)), "o": np.zeros((4, 8, 2))},
        ),
        "yolo": (
            {"output": "o", "transposed": False, "objectness": True, "box_unit": "pixels"},
            {"o": np.full((cells * 3, 7), logit)},
        ),
    }
    settings, outputs = cases[decoder]
    with pytest.raises(InferenceError, match="gave the score -7.5; expected 0…1; if its outputs are logits"):
        _detector(decoder, settings, outputs)(IMAGE)
