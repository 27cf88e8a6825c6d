"""YOLO heads that need no NMS: one row per box, with corners, score and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.decoder import Candidates, Floats, class_numbers, finite
from edgevision.tasks.decoders.boxes import in_pixels
from edgevision.tasks.decoders.scores import check_lowest
from edgevision.tasks.decoders.settings import UNITS, check_shape, output_named, read_settings, tensor, words
from edgevision.tasks.decoders.yolo import YOLO
from edgevision.tensors import TensorSpec

_NAME = "yolo-end2end"


@dataclass(frozen=True)
class YOLOEnd2EndSettings:
    """Settings of decoder ``yolo-end2end``.

    Attributes:
        output: (n, 6): left, top, right, bottom, score, class.
        box_unit: ``pixels`` of the input, or ``share`` of its width and height.
    """

    output: str = field(metadata=tensor("the boxes"))
    box_unit: str = field(metadata=words(UNITS))


class YOLOEnd2End:
    """Decoder for YOLO heads without NMS, such as YOLOv10's."""

    name = _NAME
    nms_applied = True

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by one output of (n, 6) that is not a grid of two classes."""
        if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] != 6:
            return None
        is_grid = YOLO().recognise(outputs, input_size_wh) is not None
        return None if is_grid else {"output": outputs[0].name}

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> YOLOEnd2EndHead:
        """As `Decoder.prepare`; see `YOLOEnd2EndSettings`."""
        read = read_settings(YOLOEnd2EndSettings, settings, _NAME)
        spec = output_named(outputs, read.output, _NAME, "output")
        check_shape(spec, len(spec.shape) == 2 and spec.shape[1] == 6, "(n, 6)", _NAME)
        return YOLOEnd2EndHead(read, input_size_wh)


@dataclass(frozen=True)
class YOLOEnd2EndHead:
    """As `Head`."""

    settings: YOLOEnd2EndSettings
    input_size_wh: tuple[int, int]
    classes: int | None = None

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        rows = finite(self.settings.output, outputs[self.settings.output])
        check_lowest(rows[:, 4])
        rows = rows[rows[:, 4] >= score_threshold]
        boxes_xyxy = in_pixels(rows[:, :4], self.settings.box_unit, self.input_size_wh)
        return Candidates(boxes_xyxy, rows[:, 4], class_numbers(self.settings.output, rows[:, 5]))
