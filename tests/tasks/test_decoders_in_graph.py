"""Decoders as operations of a graph: the same boxes, classes and scores as on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgevision.decoder import Candidates
from edgevision.errors import OptionError
from edgevision.graph import GraphDecoder
from edgevision.plugins import registry
from edgevision.tensors import TensorSpec
from numpy_graph import NumpyGraph

SIZE_WH = (64, 48)
THRESHOLD = 0.3
random = np.random.default_rng(0)


def rows(*shape: int) -> Any:
    return random.uniform(0, 1, shape).astype(np.float32)


def boxes(count: int) -> Any:
    """Corners, left and top first, as shares."""
    corners = np.sort(rows(1, count, 2, 2), axis=2)
    return corners.reshape(1, count, 4)


ANCHORS = rows(20, 4).tolist()
HEADS = {
    "yolo": ("yolo", {"o": rows(1, 84, 7)}, {"output": "o", "transposed": False, "box_unit": "share"}),
    "yolo of pixels, in columns": (
        "yolo",
        {"o": np.concatenate([60 * rows(1, 4, 84), rows(1, 3, 84)], axis=1)},
        {"output": "o", "transposed": True, "box_unit": "pixels"},
    ),
    "yolo with objectness and logits": (
        "yolo",
        {"o": 4 * rows(1, 84, 8) - 2},
        {
            "output": "o",
            "transposed": False,
            "box_unit": "share",
            "objectness": True,
            "activation": "sigmoid",
        },
    ),
    "yolo of a grid that the network leaves": (
        "yolo",
        {"o": rows(1, 62, 8)},
        {
            "output": "o",
            "transposed": False,
            "box_unit": "pixels",
            "objectness": True,
            "grid": "relative",
        },
    ),
    "ssd": (
        "ssd",
        {"b": rows(1, 20, 4), "s": 3 * rows(1, 20, 4)},
        {
            "boxes": "b",
            "scores": "s",
            "box_order": "yxhw",
            "background": "first",
            "activation": "softmax",
            "anchors": ANCHORS,
        },
    ),
    "ssd without background": (
        "ssd",
        {"b": rows(1, 20, 4), "s": rows(1, 20, 4)},
        {
            "boxes": "b",
            "scores": "s",
            "box_order": "xywh",
            "background": "last",
            "activation": "sigmoid",
            "anchors": ANCHORS,
        },
    ),
    **{
        f"boxes-scores {box_format}": (
            "boxes-scores",
            {"b": boxes(30), "s": rows(1, 30, 3)},
            {"boxes": "b", "scores": "s", "box_format": box_format, "box_unit": unit},
        )
        for box_format, unit in (
            ("xyxy", "share"),
            ("yxyx", "pixels"),
            ("xywh", "share"),
            ("cxcywh", "pixels"),
            ("cycxhw", "share"),
        )
    },
    "boxes-scores of one class": (
        "boxes-scores",
        {"b": boxes(30), "s": rows(1, 30)},
        {"boxes": "b", "scores": "s", "box_format": "xyxy", "box_unit": "share"},
    ),
    **{
        f"heatmap {unit}": (
            "heatmap",
            {"heatmap": rows(1, 6, 8, 5), "size": rows(1, 6, 8, 2), "offset": rows(1, 6, 8, 2)},
            {"heatmap": "heatmap", "size": "size", "offset": "offset", "size_unit": unit},
        )
        for unit in ("cells", "pixels", "share", "root-share")
    },
}
SETTINGS = {"yolo": {"objectness": False}}


@pytest.mark.parametrize("name", HEADS)
def test_a_graph_finds_what_the_device_finds(name: str) -> None:
    decoder_name, outputs, settings = HEADS[name]
    decoder: Any = registry().decoder(decoder_name)
    settings = {**SETTINGS.get(decoder_name, {}), **settings}
    assert isinstance(decoder, GraphDecoder)
    specs = [TensorSpec(key, value.shape[1:], "float32") for key, value in outputs.items()]
    expected = decoder.prepare(specs, SIZE_WH, settings)(
        {key: value[0] for key, value in outputs.items()}, THRESHOLD
    )
    found = decoder.in_graph(NumpyGraph(outputs), specs, SIZE_WH, settings)
    assert found.boxes.shape == (1, found.scores.shape[1], 4)
    assert sorted_rows(as_readers_do(found.boxes[0], found.scores[0])) == pytest.approx(
        sorted_rows(expected), abs=2e-4
    )


def as_readers_do(boxes_cxcywh: Any, scores: Any) -> Candidates:
    """The best class of each box, above the threshold."""
    best = scores.argmax(axis=1)
    highest = scores[np.arange(len(scores)), best]
    kept = highest >= THRESHOLD
    boxes = boxes_cxcywh[kept] * np.array([*SIZE_WH, *SIZE_WH])
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    return Candidates(corners, highest[kept], best[kept])


def sorted_rows(found: Candidates) -> Any:
    table = np.column_stack([found.class_ids, found.scores, found.boxes_xyxy])
    return table[np.lexsort(np.round(table[:, ::-1].T, 3))]


def test_equal_scores_of_one_cell_are_each_found() -> None:
    heatmap = np.zeros((1, 6, 8, 5), np.float32)
    heatmap[0, 2, 3, [1, 4]] = 0.5
    outputs = {"heatmap": heatmap, "size": rows(1, 6, 8, 2), "offset": rows(1, 6, 8, 2)}
    specs = [TensorSpec(key, value.shape[1:], "float32") for key, value in outputs.items()]
    decoder: Any = registry().decoder("heatmap")
    settings = {"heatmap": "heatmap", "size": "size", "offset": "offset", "size_unit": "share"}
    found = decoder.in_graph(NumpyGraph(outputs), specs, SIZE_WH, settings)
    assert sorted(as_readers_do(found.boxes[0], found.scores[0]).class_ids.tolist()) == [1, 4]


def test_a_class_for_each_box_cannot_be_exported() -> None:
    specs = [
        TensorSpec("b", (9, 4), "float32"),
        TensorSpec("s", (9,), "float32"),
        TensorSpec("c", (9,), "float32"),
    ]
    decoder: Any = registry().decoder("boxes-scores")
    settings = {"boxes": "b", "scores": "s", "classes": "c", "box_format": "xyxy", "box_unit": "share"}
    with pytest.raises(OptionError, match="output 'c' has the class of each box"):
        decoder.in_graph(NumpyGraph({}), specs, SIZE_WH, settings)
