"""The output of OpenVINO's operation ``DetectionOutput``, and of Caffe's SSD: one row per box, NMS applied.

https://docs.openvino.ai/2026/documentation/openvino-ir-format/operation-sets/operation-specs/detection/detectionoutput-8.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.decoder import Candidates, Floats, class_numbers, finite
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

_NAME = "detection-output"


@dataclass(frozen=True)
class DetectionOutputSettings:
    """Settings of decoder ``detection-output``.

    Attributes:
        output: (1, n, 7): image, class, score, left, top, right, bottom; a negative image ends the list.
        class_offset: number of the first class: 0 where the labels begin with a background, 1 where they
            leave it out.
        box_unit: ``pixels`` of the input, or ``share`` of its width and height, as the operation gives it.
    """

    output: str = field(metadata=tensor("the boxes"))
    class_offset: int = 0
    box_unit: str = field(default="share", metadata=words(UNITS))

    def __post_init__(self) -> None:
        check_count("class_offset", self.class_offset)


class DetectionOutput:
    """Decoder for the detectors of Open Model Zoo, and other SSDs that end in this operation."""

    name = _NAME
    nms_applied = True

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by one output of (1, n, 7); one row alone may be seven scores."""
        if len(outputs) != 1 or not _is_list(outputs[0]) or outputs[0].shape[1] == 1:
            return None
        return {"output": outputs[0].name}

    def recognise_described(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], classes: int | None
    ) -> Mapping[str, Any] | None:
        """As `DescribedDecoder.recognise_described`: by the only output of (1, n, 7)."""
        lists = [spec for spec in outputs if _is_list(spec)]
        return {"output": lists[0].name} if len(lists) == 1 else None

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> DetectionOutputHead:
        """As `Decoder.prepare`; see `DetectionOutputSettings`."""
        read = read_settings(DetectionOutputSettings, settings, _NAME)
        spec = output_named(outputs, read.output, _NAME, "output")
        check_shape(spec, _is_list(spec), "(1, n, 7)", _NAME)
        return DetectionOutputHead(read, input_size_wh)


@dataclass(frozen=True)
class DetectionOutputHead:
    """As `Head`."""

    settings: DetectionOutputSettings
    input_size_wh: tuple[int, int]
    classes: int | None = None

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        settings = self.settings
        rows = outputs[settings.output].reshape(-1, 7)
        # Rows behind the end of the list are not initialized by the operation.
        ends = np.flatnonzero(rows[:, 0] < 0)
        rows = finite(settings.output, rows[: ends[0]] if len(ends) else rows)
        check_lowest(rows[:, 2])
        rows = rows[rows[:, 2] >= score_threshold]
        boxes_xyxy = in_pixels(rows[:, 3:7], settings.box_unit, self.input_size_wh)
        class_ids = class_numbers(settings.output, rows[:, 1]) - settings.class_offset
        return Candidates(boxes_xyxy, rows[:, 2], class_ids)


def _is_list(spec: TensorSpec) -> bool:
    return len(spec.shape) == 3 and spec.shape[0] == 1 and spec.shape[2] == 7
