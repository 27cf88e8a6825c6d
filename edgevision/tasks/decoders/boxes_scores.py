"""Plain outputs: boxes and scores, or boxes, classes and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.decoder import Candidates, Floats, Ints, class_numbers, finite
from edgevision.errors import OptionError
from edgevision.graph import Graph, GraphBoxes, activated
from edgevision.tasks.decoders.boxes import FORMATS, as_xyxy, in_pixels
from edgevision.tasks.decoders.in_graph import as_cxcywh, in_shares
from edgevision.tasks.decoders.scores import pick
from edgevision.tasks.decoders.settings import (
    ACTIVATIONS,
    UNITS,
    check_count,
    check_shape,
    output_named,
    read_settings,
    tensor,
    words,
)
from edgevision.tensors import TensorSpec

_NAME = "boxes-scores"
_NAMES = {
    "boxes": {"boxes", "bboxes", "detection_boxes"},
    "scores": {"scores", "confidences", "detection_scores"},
    "classes": {"classes", "labels", "class_ids", "detection_classes"},
}


@dataclass(frozen=True)
class BoxesScoresSettings:
    """Settings of decoder ``boxes-scores``.

    Attributes:
        boxes: output (n, 4).
        scores: output (n,) where `classes` is named or there is one class, else (n, classes).
        box_format: ``xyxy``, ``yxyx``, ``xywh`` (left, top, width, height), ``cxcywh`` or ``cycxhw``.
        box_unit: ``pixels`` of the input, or ``share`` of its width and height.
        classes: output (n,), or empty if the class follows from the scores.
        class_offset: number of the first class in `classes`.
        activation: to apply to the scores: ``none``, ``sigmoid`` or ``softmax``.
    """

    boxes: str = field(metadata=tensor("the boxes"))
    scores: str = field(metadata=tensor("the scores"))
    box_format: str = field(metadata=words(FORMATS))
    box_unit: str = field(metadata=words(UNITS))
    classes: str = ""
    class_offset: int = 0
    activation: str = field(default="none", metadata=words(ACTIVATIONS))

    def __post_init__(self) -> None:
        check_count("class_offset", self.class_offset)


class BoxesScores:
    """Decoder for networks with plain boxes and scores."""

    name = _NAME
    nms_applied = False

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by three outputs with names for boxes, scores and classes.

        Two outputs, boxes and a score per class, may also be a raw SSD head.
        """
        named = {role: spec.name for spec in outputs for role in _NAMES if spec.name in _NAMES[role]}
        return named if len(outputs) == 3 and len(named) == 3 else None

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> BoxesScoresHead:
        """As `Decoder.prepare`; see `BoxesScoresSettings`."""
        read = read_settings(BoxesScoresSettings, settings, _NAME)
        boxes = output_named(outputs, read.boxes, _NAME, "boxes")
        check_shape(boxes, len(boxes.shape) == 2 and boxes.shape[1] == 4, "(n, 4)", _NAME)
        scores = output_named(outputs, read.scores, _NAME, "scores")
        per_class = not read.classes and len(scores.shape) == 2
        valid = scores.shape[:1] == boxes.shape[:1] and len(scores.shape) == 1 + per_class
        check_shape(scores, valid, "(n, classes), or (n,) with classes or of one class,", _NAME)
        if read.classes:
            classes = output_named(outputs, read.classes, _NAME, "classes")
            check_shape(classes, classes.shape == boxes.shape[:1], "(n,), as the boxes,", _NAME)
        return BoxesScoresHead(read, input_size_wh, _class_count(scores, read))

    def in_graph(
        self,
        graph: Graph,
        outputs: Sequence[TensorSpec],
        input_size_wh: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> GraphBoxes:
        """As `edgevision.graph.GraphDecoder.in_graph`."""
        read = self.prepare(outputs, input_size_wh, settings).settings
        if read.classes:
            raise OptionError(
                f"decoder '{_NAME}': output '{read.classes}' has the class of each box; a graph can be "
                f"exported only with a score per class"
            )
        scores = graph.output(read.scores)
        if len(graph.shape(scores)) == 2:
            scores = graph.reshape(scores, (*graph.shape(scores), 1))
        boxes = as_cxcywh(graph, graph.output(read.boxes), read.box_format)
        return GraphBoxes(
            in_shares(graph, boxes, read.box_unit, input_size_wh), activated(graph, scores, read.activation)
        )


@dataclass(frozen=True)
class BoxesScoresHead:
    """As `Head`."""

    settings: BoxesScoresSettings
    input_size_wh: tuple[int, int]
    classes: int | None

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        settings = self.settings
        scores = finite(settings.scores, outputs[settings.scores])
        rows = scores if scores.ndim == 2 else scores[:, np.newaxis]
        places, class_ids, best = pick(rows, score_threshold, settings.activation)
        boxes = finite(settings.boxes, outputs[settings.boxes][places])
        boxes_xyxy = in_pixels(as_xyxy(boxes, settings.box_format), settings.box_unit, self.input_size_wh)
        return Candidates(
            boxes_xyxy, best, self._class_ids(outputs, places) if settings.classes else class_ids
        )

    def _class_ids(self, outputs: Mapping[str, Floats], places: Ints) -> Ints:
        name = self.settings.classes
        return class_numbers(name, outputs[name][places]) - self.settings.class_offset


def _class_count(scores: TensorSpec, settings: BoxesScoresSettings) -> int | None:
    if settings.classes:
        return None
    return scores.shape[1] if len(scores.shape) == 2 else 1
