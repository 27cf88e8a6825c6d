"""Raw SSD heads: corrections of anchors, and a score per class; Liu et al. 2016."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevision.decoder import Candidates, Floats, finite
from edgevision.errors import OptionError
from edgevision.graph import Graph, GraphBoxes, activated, columns, scaled
from edgevision.tasks.decoders.anchors import AnchorGrid
from edgevision.tasks.decoders.boxes import as_xyxy, in_pixels
from edgevision.tasks.decoders.scores import BACKGROUNDS, pick
from edgevision.tasks.decoders.settings import (
    ACTIVATIONS,
    check_above_zero,
    check_shape,
    output_named,
    read_settings,
    tensor,
    words,
)
from edgevision.tensors import TensorSpec

_NAME = "ssd"
_KNOWN_NAMES = {
    "boxes": {"raw_outputs/box_encodings", "box_encodings", "raw_detection_boxes_encodings"},
    "scores": {"raw_outputs/class_predictions", "class_predictions"},
}
BOX_ORDERS = ("yxhw", "xywh")


@dataclass(frozen=True)
class SSDSettings:
    """Settings of decoder ``ssd``.

    Attributes:
        boxes: output (anchors, 4): corrections of centre and size.
        scores: output (anchors, classes), including the background if there is one.
        box_order: order of the four corrections: ``yxhw`` as in TensorFlow, or ``xywh``.
        background: column of the background: ``none``, ``first`` or ``last``.
        activation: to apply to the scores: ``none``, ``sigmoid`` or ``softmax``.
        anchors: one row (centre x, centre y, width, height) per anchor, as shares of the input; or an
            object with the fields of `AnchorGrid`.
        scale_xy, scale_wh: divisors of the corrections of centres and of sizes.
        sizes: corrections of sizes are logarithms (``exponential``), or factors (``linear``).
    """

    boxes: str = field(metadata=tensor("the corrections of the boxes"))
    scores: str = field(metadata=tensor("the scores"))
    box_order: str = field(metadata=words(BOX_ORDERS))
    background: str = field(metadata=words(BACKGROUNDS))
    activation: str = field(metadata=words(ACTIVATIONS))
    anchors: Any = field(
        metadata={"expected": "rows of centre x, centre y, width and height, or the layout of a grid"}
    )
    scale_xy: float = 10.0
    scale_wh: float = 5.0
    sizes: str = field(default="exponential", metadata=words(("exponential", "linear")))

    def __post_init__(self) -> None:
        check_above_zero("scale_xy", self.scale_xy)
        check_above_zero("scale_wh", self.scale_wh)


class SSD:
    """Decoder for SSD networks without their post-processing, which leaves them int8 throughout."""

    name = _NAME
    nms_applied = False

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by the output names of TensorFlow's exporter."""
        named = {
            role: spec.name for spec in outputs for role in _KNOWN_NAMES if spec.name in _KNOWN_NAMES[role]
        }
        return {**named, "box_order": "yxhw"} if len(outputs) == 2 and len(named) == 2 else None

    def recognise_described(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], classes: int | None
    ) -> Mapping[str, Any] | None:
        """As `DescribedDecoder.recognise_described`: by one output of (n, 4) beside one of (n, columns)."""
        if len(outputs) != 2 or any(len(spec.shape) != 2 for spec in outputs):
            return None
        if outputs[0].shape[0] != outputs[1].shape[0]:
            return None
        fours = [place for place, spec in enumerate(outputs) if spec.shape[1] == 4]
        if len(fours) != 1:  # four classes: only names or metadata tell which is which
            return self.recognise(outputs, input_size_wh) or {}
        boxes = fours[0]
        return {"boxes": outputs[boxes].name, "scores": outputs[1 - boxes].name}

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> SSDHead:
        """As `Decoder.prepare`; see `SSDSettings`."""
        read = read_settings(SSDSettings, settings, _NAME)
        anchors = _anchors_cxcywh(read.anchors, input_size_wh)
        boxes = output_named(outputs, read.boxes, _NAME, "boxes")
        check_shape(boxes, boxes.shape == (len(anchors), 4), f"({len(anchors)} anchors, 4)", _NAME)
        scores = output_named(outputs, read.scores, _NAME, "scores")
        columns = scores.shape[1] if len(scores.shape) == 2 and scores.shape[0] == len(anchors) else None
        classes = (columns or 0) - (read.background != "none")
        check_shape(scores, classes > 0, f"({len(anchors)} anchors, classes)", _NAME)
        return SSDHead(read, input_size_wh, anchors, classes)

    def in_graph(
        self,
        graph: Graph,
        outputs: Sequence[TensorSpec],
        input_size_wh: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> GraphBoxes:
        """As `edgevision.graph.GraphDecoder.in_graph`."""
        head = self.prepare(outputs, input_size_wh, settings)
        read, anchors = head.settings, head.anchors_cxcywh[np.newaxis]
        raw = graph.output(read.boxes)
        raw = columns(graph, raw, 1, 0, 3, 2) if read.box_order == "yxhw" else raw
        # centre / scale * anchor's size + anchor's centre; exp(size / scale) * anchor's size
        shift = graph.binary(
            "multiply", graph.part(raw, 2, 0, 2), graph.constant(anchors[..., 2:] / np.float32(read.scale_xy))
        )
        centers = graph.binary("add", shift, graph.constant(anchors[..., :2]))
        growth = graph.unary("exp", scaled(graph, graph.part(raw, 2, 2, 4), [1 / read.scale_wh] * 2))
        sizes = graph.binary("multiply", growth, graph.constant(anchors[..., 2:]))
        scores = activated(graph, graph.output(read.scores), read.activation)
        first = 1 if read.background == "first" else 0
        scores = graph.part(scores, 2, first, first + head.classes)
        return GraphBoxes(graph.concatenate([centers, sizes], 2), scores)


@dataclass(frozen=True, eq=False)
class SSDHead:
    """As `Head`."""

    settings: SSDSettings
    input_size_wh: tuple[int, int]
    anchors_cxcywh: Floats
    classes: int

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        settings = self.settings
        scores = finite(settings.scores, outputs[settings.scores])
        places, class_ids, best = pick(scores, score_threshold, settings.activation, settings.background)
        raw = finite(settings.boxes, outputs[settings.boxes][places])
        raw = raw[:, [1, 0, 3, 2]] if settings.box_order == "yxhw" else raw
        anchors = self.anchors_cxcywh[places]
        centers = raw[:, :2] / settings.scale_xy * anchors[:, 2:] + anchors[:, :2]
        factors = raw[:, 2:] / settings.scale_wh
        sizes = (np.exp(factors) if settings.sizes == "exponential" else factors) * anchors[:, 2:]
        boxes_xyxy = as_xyxy(np.concatenate([centers, sizes], axis=1), "cxcywh")
        return Candidates(in_pixels(boxes_xyxy, "share", self.input_size_wh), best, class_ids)


def _anchors_cxcywh(anchors: object, input_size_wh: tuple[int, int]) -> Floats:
    if isinstance(anchors, Mapping):
        try:
            return AnchorGrid(**anchors).boxes_cxcywh(input_size_wh)
        except TypeError as error:
            raise OptionError(f"decoder 'ssd': setting 'anchors': {error}") from error
    try:
        rows = np.asarray(anchors, np.float32)
    except (TypeError, ValueError):
        rows = np.empty(0, np.float32)
    if rows.ndim != 2 or rows.shape[1] != 4 or not np.isfinite(rows).all() or len(rows) == 0:
        raise OptionError(
            "decoder 'ssd': setting 'anchors': expected rows of four finite numbers, centre x, centre y, "
            "width and height as shares of the input, or an object with the layout of a grid"
        )
    return rows
