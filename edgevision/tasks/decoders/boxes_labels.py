"""Boxes with their score in one output, and their classes in another: detectors of OpenVINO's trainers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.decoder import Candidates, Floats, Ints, class_numbers, finite
from edgevision.tasks.decoders.boxes import in_pixels
from edgevision.tasks.decoders.scores import check_lowest
from edgevision.tasks.decoders.settings import (
    UNITS,
    check_count,
    check_shape,
    output_named,
    read_settings,
    tensor,
    words,
)
from edgevision.tensors import TensorSpec

_NAME = "boxes-labels"


@dataclass(frozen=True)
class BoxesLabelsSettings:
    """Settings of decoder ``boxes-labels``.

    Attributes:
        boxes: output (n, 5): left, top, right, bottom, score.
        box_unit: ``pixels`` of the input, or ``share`` of its width and height.
        classes: output (n,), or empty for a detector of one class.
        class_offset: number of the first class in `classes`.
    """

    boxes: str = field(metadata=tensor("the boxes"))
    box_unit: str = field(metadata=words(UNITS))
    classes: str = ""
    class_offset: int = 0

    def __post_init__(self) -> None:
        check_count("class_offset", self.class_offset)


class BoxesLabels:
    """Decoder for networks that apply NMS themselves and keep the score beside the box."""

    name = _NAME
    nms_applied = True

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by two outputs with the names ``boxes`` (n, 5) and ``labels`` (n,)."""
        if {spec.name for spec in outputs} != {"boxes", "labels"}:
            return None
        return self.recognise_described(outputs, input_size_wh, None)

    def recognise_described(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], classes: int | None
    ) -> Mapping[str, Any] | None:
        """As `DescribedDecoder.recognise_described`: by the only output of (n, 5), and one of labels."""
        boxes = [spec for spec in outputs if len(spec.shape) == 2 and spec.shape[1] == 5]
        labels = [spec for spec in outputs if "labels" in spec.name and len(spec.shape) == 1]
        if len(boxes) != 1 or len(labels) > 1:
            return None
        return {"boxes": boxes[0].name, **({"classes": labels[0].name} if labels else {})}

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> BoxesLabelsHead:
        """As `Decoder.prepare`; see `BoxesLabelsSettings`."""
        read = read_settings(BoxesLabelsSettings, settings, _NAME)
        boxes = output_named(outputs, read.boxes, _NAME, "boxes")
        check_shape(boxes, len(boxes.shape) == 2 and boxes.shape[1] == 5, "(n, 5)", _NAME)
        if read.classes:
            classes = output_named(outputs, read.classes, _NAME, "classes")
            check_shape(classes, classes.shape == boxes.shape[:1], "(n,), as the boxes,", _NAME)
        return BoxesLabelsHead(read, input_size_wh, None if read.classes else 1)


@dataclass(frozen=True)
class BoxesLabelsHead:
    """As `Head`."""

    settings: BoxesLabelsSettings
    input_size_wh: tuple[int, int]
    classes: int | None

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        settings = self.settings
        rows = finite(settings.boxes, outputs[settings.boxes])
        check_lowest(rows[:, 4])
        places = np.flatnonzero(rows[:, 4] >= score_threshold)
        rows = rows.take(places, axis=0)
        class_ids: Ints = np.zeros(len(places), np.int64)
        if settings.classes:
            numbers = outputs[settings.classes].take(places)
            class_ids = class_numbers(settings.classes, numbers) - settings.class_offset
        return Candidates(
            in_pixels(rows[:, :4], settings.box_unit, self.input_size_wh), rows[:, 4], class_ids
        )
