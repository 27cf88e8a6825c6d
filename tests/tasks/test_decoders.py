"""Every decoder, on tensors whose boxes are known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevision.errors import InferenceError, OptionError
from edgevision.plugins import registry
from edgevision.tensors import TensorSpec

#: Width and height of the networks' input.
SIZE_WH = (200, 100)


def _specs(**shapes: tuple[int, ...]) -> list[TensorSpec]:
    return [TensorSpec(name, shape, "float32") for name, shape in shapes.items()]


def _logit(score: float) -> float:
    return float(np.log(score / (1 - score)))


def _yolo(rows: list[list[float]]) -> np.ndarray:
    """A YOLO grid for an input of 32 x 32: 16 + 4 + 1 cells, the first of them `rows`."""
    grid = np.zeros((21, len(rows[0])), np.float32)
    grid[: len(rows)] = rows
    return grid


def _heatmap() -> dict[str, np.ndarray]:
    """A map of 4 x 8 cells of 25 pixels, an object of class 1 in row 2, column 3, a dimmer neighbour."""
    outputs = {
        "heatmap": np.zeros((4, 8, 2), np.float32),
        "size": np.zeros((4, 8, 2), np.float32),
        "offset": np.zeros((4, 8, 2), np.float32),
    }
    outputs["heatmap"][2, 3, 1] = 0.9
    outputs["heatmap"][2, 4, 1] = 0.8
    outputs["size"][2, 3] = (0.5, 0.4)
    outputs["offset"][2, 3] = (0.5, 0.25)
    return outputs


#: decoder, settings, outputs, (boxes, scores, classes) above a threshold of 0.5.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[Any, Any, Any]]] = {
    "post-process operator": (
        "tflite-ssd",
        {"boxes": "b", "classes": "c", "scores": "s", "count": "n"},
        {
            "b": [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1], [0, 0, 1, 1]],
            "c": [3, 1, 7],
            "s": [0.9, 0.4, 0.95],
            "n": [2],
        },
        ([[40, 10, 120, 50]], [0.9], [3]),
    ),
    "raw SSD with a background": (
        "ssd",
        {
            "boxes": "b",
            "scores": "s",
            "box_order": "yxhw",
            "background": "first",
            "activation": "softmax",
            "anchors": [[0.5, 0.5, 0.2, 0.4], [0.1, 0.1, 0.1, 0.1]],
        },
        {"b": [[0, 5, 0, 5 * np.log(2)], [0, 0, 0, 0]], "s": [[0, 9, 0], [9, 0, 0]]},
        # The centre moves by 5/10 of the anchor's width of 0.2; the width doubles.
        ([[80, 30, 160, 70]], [1.0], [0]),
    ),
    "YOLO with objectness": (
        "yolo",
        {"output": "o", "transposed": False, "objectness": True, "box_unit": "pixels"},
        {"o": [[50, 40, 20, 10, 0.9, 0.1, 0.8], [50, 40, 20, 10, 0.6, 0.7, 0.1], [1, 1, 1, 1, 0.1, 1, 1]]},
        ([[40, 35, 60, 45]], [0.72], [1]),
    ),
    "YOLO without objectness, transposed": (
        "yolo",
        {"output": "o", "transposed": True, "objectness": False, "box_unit": "share"},
        {"o": np.array([[0.5, 0.4, 0.2, 0.1, 0.2, 0.9], [0, 0, 0, 0, 0.1, 0.2]]).T},
        ([[80, 35, 120, 45]], [0.9], [1]),
    ),
    "YOLO end to end": (
        "yolo-end2end",
        {"output": "o", "box_unit": "pixels"},
        {"o": [[10, 20, 30, 40, 0.8, 2], [0, 0, 9, 9, 0.3, 1]]},
        ([[10, 20, 30, 40]], [0.8], [2]),
    ),
    "heat map in shares": (
        "heatmap",
        {"heatmap": "heatmap", "size": "size", "offset": "offset", "size_unit": "share"},
        _heatmap(),
        # Centre (3.5, 2.25) cells of 25 pixels; half of 200 wide, 0.4 of 100 high.
        ([[37.5, 36.25, 137.5, 76.25]], [0.9], [1]),
    ),
    "heat map in roots of shares": (
        "heatmap",
        {"heatmap": "heatmap", "size": "size", "offset": "offset", "size_unit": "root-share"},
        _heatmap(),
        ([[62.5, 48.25, 112.5, 64.25]], [0.9], [1]),
    ),
    "boxes and a score a class": (
        "boxes-scores",
        {"boxes": "b", "scores": "s", "box_format": "xywh", "box_unit": "pixels", "activation": "sigmoid"},
        {"b": [[10, 20, 30, 40], [0, 0, 1, 1]], "s": [[_logit(0.1), _logit(0.8)], [-9, -9]]},
        ([[10, 20, 40, 60]], [0.8], [1]),
    ),
    "boxes, classes counted from 1, and scores": (
        "boxes-scores",
        {
            "boxes": "b",
            "scores": "s",
            "classes": "c",
            "class_offset": 1,
            "box_format": "yxyx",
            "box_unit": "share",
        },
        {"b": [[0.1, 0.2, 0.3, 0.4]], "s": [0.7], "c": [5]},
        ([[40, 10, 80, 30]], [0.7], [4]),
    ),
}


def _decode(name: str, settings: dict[str, Any], outputs: dict[str, Any], threshold: float = 0.5) -> Any:
    arrays = {key: np.asarray(values, np.float32) for key, values in outputs.items()}
    specs = _specs(**{key: values.shape for key, values in arrays.items()})
    return registry().decoder(name).prepare(specs, SIZE_WH, settings)(arrays, threshold)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_known_boxes_are_decoded(case: Any) -> None:
    name, settings, outputs, (boxes, scores, class_ids) = case
    found = _decode(name, settings, outputs)
    np.testing.assert_allclose(found.boxes_xyxy, boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, scores, atol=1e-3)
    np.testing.assert_array_equal(found.class_ids, class_ids)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_without_scores_above_the_threshold_there_are_no_boxes(case: Any) -> None:
    name, settings, outputs, _ = case
    found = _decode(
        name, settings, {key: np.zeros_like(values, np.float32) for key, values in outputs.items()}
    )
    if name not in ("ssd", "boxes-scores"):  # whose zeros are scores of one half or a third
        assert len(found.scores) == 0
    found = _decode(name, settings, outputs, threshold=1.0)
    assert len(found.scores) <= 1
    assert found.boxes_xyxy.shape == (len(found.scores), 4)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_nan_is_an_error_and_never_an_empty_answer(case: Any) -> None:
    name, settings, outputs, _ = case
    broken = {key: np.full_like(np.asarray(values, np.float32), np.nan) for key, values in outputs.items()}
    with pytest.raises(InferenceError, match="NaN or infinity"):
        _decode(name, settings, broken)


def test_logits_without_an_activation_are_an_error_and_not_an_empty_answer() -> None:
    settings = {"boxes": "b", "scores": "s", "box_format": "xyxy", "box_unit": "pixels"}
    boxes = [[10, 20, 30, 40], [0, 0, 0, 0]]
    with pytest.raises(InferenceError, match="the score -4.6; expected 0…1; .* activation=sigmoid"):
        _decode("boxes-scores", settings, {"b": boxes, "s": [[-0.3, -2], [-4.6, -7]]})
    filled_up = _decode("boxes-scores", settings, {"b": boxes, "s": [[0.9, 0], [-1, -1]]})
    assert len(filled_up.scores) == 1


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_unknown_and_missing_settings_are_named(case: Any) -> None:
    name, settings, outputs, _ = case
    with pytest.raises(OptionError, match="colour"):
        _decode(name, {**settings, "colour": 1}, outputs)
    for missing in ("output", "boxes", "heatmap"):
        if missing in settings:
            with pytest.raises(OptionError, match=missing):
                _decode(name, {k: v for k, v in settings.items() if k != missing}, outputs)


RECOGNISED: dict[str, tuple[dict[str, tuple[int, ...]], str | None]] = {
    "post-process operator": (
        {
            "TFLite_Detection_PostProcess": (10, 4),
            "TFLite_Detection_PostProcess:1": (10,),
            "TFLite_Detection_PostProcess:2": (10,),
            "TFLite_Detection_PostProcess:3": (),
        },
        "tflite-ssd",
    ),
    "heat map": ({"heatmap": (4, 4, 3), "size": (4, 4, 2), "offset": (4, 4, 2)}, "heatmap"),
    "named boxes": ({"boxes": (10, 4), "classes": (10,), "scores": (10,)}, "boxes-scores"),
    "YOLO grid": ({"output0": (84, 21)}, "yolo"),
    "end to end": ({"output0": (300, 6)}, "yolo-end2end"),
    "anything else": ({"a": (10, 4), "b": (10, 3)}, None),
}


@pytest.mark.parametrize(("shapes", "expected"), RECOGNISED.values(), ids=RECOGNISED)
def test_a_head_is_recognised_by_names_and_shapes_or_not_at_all(shapes: Any, expected: str | None) -> None:
    specs = _specs(**shapes)
    found = [n for n, one in registry().decoders().items() if one.recognise(specs, (32, 32)) is not None]
    assert found == ([] if expected is None else [expected])
