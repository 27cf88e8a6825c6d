"""The four outputs of TFLite's operator ``TFLite_Detection_PostProcess``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.decoder import Candidates, Floats, class_numbers, finite
from edgevision.tasks.decoders.boxes import as_xyxy, in_pixels
from edgevision.tasks.decoders.scores import check_lowest
from edgevision.tasks.decoders.settings import check_count, check_shape, output_named, read_settings, tensor
from edgevision.tensors import TensorSpec

_NAME = "tflite-ssd"
#: Output names of the exporters, each in the order of the roles.
_KNOWN_NAMES = (
    tuple(f"TFLite_Detection_PostProcess{ending}" for ending in ("", ":1", ":2", ":3")),
    ("detection_boxes", "detection_classes", "detection_scores", "num_detections"),
)
_ROLES = ("boxes", "classes", "scores", "count")


@dataclass(frozen=True)
class TFLiteSSDSettings:
    """Settings of decoder ``tflite-ssd``.

    Attributes:
        boxes: output (n, 4): top, left, bottom, right as shares of the input's size.
        classes, scores: outputs (n,).
        count: output (): the number of valid boxes among the n.
        class_offset: number of the first class.
    """

    boxes: str = field(metadata=tensor("the boxes"))
    classes: str = field(metadata=tensor("the class of each box"))
    scores: str = field(metadata=tensor("the score of each box"))
    count: str = field(metadata=tensor("the number of boxes"))
    class_offset: int = 0

    def __post_init__(self) -> None:
        check_count("class_offset", self.class_offset)


class TFLiteSSD:
    """Decoder for the last operator of TFLite's SSD detectors, which applies NMS itself."""

    name = _NAME
    nms_applied = True

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by the output names of TFLite's exporters."""
        names = {spec.name for spec in outputs}
        for known in _KNOWN_NAMES:
            if names == set(known):
                return dict(zip(_ROLES, known, strict=True))
        return None

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> TFLiteSSDHead:
        """As `Decoder.prepare`; see `TFLiteSSDSettings`."""
        read = read_settings(TFLiteSSDSettings, settings, _NAME)
        specs = {role: output_named(outputs, getattr(read, role), _NAME, role) for role in _ROLES}
        boxes = specs["boxes"]
        check_shape(boxes, len(boxes.shape) == 2 and boxes.shape[1] == 4, "(n, 4)", _NAME)
        for role in ("classes", "scores"):
            check_shape(specs[role], specs[role].shape == boxes.shape[:1], "(n,), as the boxes,", _NAME)
        check_shape(specs["count"], specs["count"].shape in ((), (1,)), "one number", _NAME)
        return TFLiteSSDHead(read, input_size_wh)


@dataclass(frozen=True)
class TFLiteSSDHead:
    """As `Head`."""

    settings: TFLiteSSDSettings
    input_size_wh: tuple[int, int]
    classes: int | None = None

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        names = self.settings
        count = max(0, int(finite(names.count, outputs[names.count]).reshape(-1)[0]))
        # Rows beyond the count are not initialized by the operator.
        scores = finite(names.scores, outputs[names.scores][:count])
        check_lowest(scores)
        places = np.flatnonzero(scores >= score_threshold)
        boxes = finite(names.boxes, outputs[names.boxes].take(places, axis=0))
        class_ids = class_numbers(names.classes, outputs[names.classes].take(places))
        boxes_xyxy = in_pixels(as_xyxy(boxes, "yxyx"), "share", self.input_size_wh)
        return Candidates(boxes_xyxy, scores.take(places), class_ids - names.class_offset)
