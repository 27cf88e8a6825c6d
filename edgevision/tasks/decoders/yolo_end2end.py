"""YOLO heads that need no NMS: one row per box, with corners, score and class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.decoder import Candidates, Floats, class_numbers, finite
from edgevision.tasks.decoders.boxes import FORMATS, as_xyxy, in_pixels
from edgevision.tasks.decoders.scores import check_lowest
from edgevision.tasks.decoders.settings import UNITS, check_shape, output_named, read_settings, tensor, words
from edgevision.tasks.decoders.yolo import YOLO
from edgevision.tensors import TensorSpec

_NAME = "yolo-end2end"


@dataclass(frozen=True)
class YOLOEnd2EndSettings:
    """Settings of decoder ``yolo-end2end``.

    Attributes:
        output: (n, 6): the box, its score and its class.
        box_unit: ``pixels`` of the input, or ``share`` of its width and height.
        box_format: ``xyxy``, or ``cxcywh`` as RT-DETR's.
    """

    output: str = field(metadata=tensor("the boxes"))
    box_unit: str = field(metadata=words(UNITS))
    box_format: str = field(default="xyxy", metadata=words(FORMATS))


class YOLOEnd2End:
    """Decoder for YOLO heads without NMS, such as YOLOv10's."""

    name = _NAME
    nms_applied = True
    family_resize = ("letterbox", 114)

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by one output of (n, 6) that is not a grid of two classes."""
        if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] != 6:
            return None
        is_grid = YOLO().recognise(outputs, input_size_wh) is not None
        return None if is_grid else {"output": outputs[0].name}

    def recognise_described(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], classes: int | None
    ) -> Mapping[str, Any] | None:
        """As `DescribedDecoder.recognise_described`: by one output of (n, 6)."""
        if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] != 6:
            return None
        return {"output": outputs[0].name}

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
        boxes = as_xyxy(rows[:, :4], self.settings.box_format)
        boxes_xyxy = in_pixels(boxes, self.settings.box_unit, self.input_size_wh)
        return Candidates(boxes_xyxy, rows[:, 4], class_numbers(self.settings.output, rows[:, 5]))
