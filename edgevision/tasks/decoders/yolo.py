"""YOLO heads whose boxes are decoded from the grid in the network itself.

One row per box: centre x, centre y, width, height, then, in older versions, an objectness score, then
one score per class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Candidates, Floats, finite
from edgevision.graph import Graph, GraphBoxes
from edgevision.graph import activated as activated_in_graph
from edgevision.tasks.decoders.boxes import as_xyxy, in_pixels
from edgevision.tasks.decoders.in_graph import in_shares
from edgevision.tasks.decoders.scores import activated, before_activation, check_lowest, pick
from edgevision.tasks.decoders.settings import (
    UNITS,
    check_shape,
    flag,
    output_named,
    read_settings,
    tensor,
    words,
)
from edgevision.tensors import TensorSpec

_NAME = "yolo"
_STRIDES = (8, 16, 32)
_ANCHORS_PER_CELL = 3


@dataclass(frozen=True)
class YOLOSettings:
    """Settings of decoder ``yolo``.

    Attributes:
        output: (boxes, values), or (values, boxes) if `transposed`.
        transposed: the values of a box are a column.
        objectness: each box has an objectness score before the class scores; the two are multiplied.
        box_unit: ``pixels`` of the input, or ``share`` of its width and height.
        activation: to apply to the scores: ``none`` if they are 0…1 already, or ``sigmoid``.
        grid: ``decoded`` if the network decodes the grid itself; ``relative``: centres from the cell's
            corner and logarithms of sizes, both in strides, as YOLOX exports them by default.
    """

    output: str = field(metadata=tensor("the boxes and scores"))
    transposed: bool = field(metadata=flag("whether the values of a box are a column"))
    objectness: bool = field(metadata=flag("whether an objectness score precedes the class scores"))
    box_unit: str = field(metadata=words(UNITS))
    activation: str = field(default="none", metadata=words(("none", "sigmoid")))
    grid: str = field(default="decoded", metadata=words(("decoded", "relative")))


class YOLO:
    """Decoder for YOLO heads with one output, of any version that decodes the grid itself."""

    name = _NAME
    nms_applied = False
    family_resize = ("letterbox", 114)

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by the number of boxes, that of the cells of stride 8, 16 and 32.

        Networks with anchors have three boxes per cell, and objectness. Whether coordinates are pixels
        or shares cannot be inferred from shapes.
        """
        if len(outputs) != 1 or len(outputs[0].shape) != 2:
            return None
        spec, cells = outputs[0], cell_count(input_size_wh)
        counts = {cells: {}, cells * _ANCHORS_PER_CELL: {"objectness": True}}
        matches = [(axis, size) for axis, size in enumerate(spec.shape) if size in counts]
        if len(matches) != 1:
            return None
        axis, size = matches[0]
        values = spec.shape[1 - axis]
        if values is None or size is None or values < 5:
            return None
        return {"output": spec.name, "transposed": axis == 1, **counts[size]}

    def recognise_described(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], classes: int | None
    ) -> Mapping[str, Any] | None:
        """As `DescribedDecoder.recognise_described`: by the number of values per box, of any strides."""
        if len(outputs) != 1 or len(outputs[0].shape) != 2:
            return None
        if classes is None:
            return self.recognise(outputs, input_size_wh)
        spec = outputs[0]
        axes = [axis for axis, size in enumerate(spec.shape) if size in (4 + classes, 5 + classes)]
        if len(axes) != 1:
            return self.recognise(outputs, input_size_wh)
        objectness = spec.shape[axes[0]] == 5 + classes
        if spec.shape[1] == 6 and spec.shape[0] not in _row_counts(input_size_wh):
            return None  # six values are also those of a box with its score and class
        return {"output": spec.name, "transposed": axes[0] == 0, "objectness": objectness}

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> YOLOHead:
        """As `Decoder.prepare`; see `YOLOSettings`."""
        read = read_settings(YOLOSettings, settings, _NAME)
        spec = output_named(outputs, read.output, _NAME, "output")
        check_shape(spec, len(spec.shape) == 2, "(boxes, values) or (values, boxes)", _NAME)
        values = spec.shape[0 if read.transposed else 1]
        first_class = 5 if read.objectness else 4
        enough = values is not None and values > first_class
        check_shape(spec, enough, f"more than {first_class} values per box", _NAME)
        cells = None
        if read.grid == "relative":
            cells = _cells_xys(input_size_wh)
            boxes = spec.shape[1 if read.transposed else 0]
            check_shape(spec, boxes == len(cells), f"{len(cells)} boxes, one per cell", _NAME)
        return YOLOHead(read, input_size_wh, (values or 0) - first_class, cells)

    def in_graph(
        self,
        graph: Graph,
        outputs: Sequence[TensorSpec],
        input_size_wh: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> GraphBoxes:
        """As `edgevision.graph.GraphDecoder.in_graph`."""
        head = self.prepare(outputs, input_size_wh, settings)
        read, cells = head.settings, head.cells_xys
        rows = graph.output(read.output)
        rows = graph.transpose(rows, (0, 2, 1)) if read.transposed else rows
        columns = graph.shape(rows)[2]
        scores = activated_in_graph(
            graph, graph.part(rows, 2, 5 if read.objectness else 4, columns), read.activation
        )
        if read.objectness:
            objectness = activated_in_graph(graph, graph.part(rows, 2, 4, 5), read.activation)
            scores = graph.binary("multiply", scores, objectness)
        boxes = graph.part(rows, 2, 0, 4)
        if cells is not None:
            corners, strides = (
                graph.constant(cells[np.newaxis, :, :2]),
                graph.constant(cells[np.newaxis, :, 2:]),
            )
            centers = graph.binary("add", graph.part(boxes, 2, 0, 2), corners)
            sizes = graph.unary("exp", graph.part(boxes, 2, 2, 4))
            boxes = graph.binary("multiply", graph.concatenate([centers, sizes], 2), strides)
        return GraphBoxes(in_shares(graph, boxes, read.box_unit, input_size_wh), scores)


@dataclass(frozen=True, eq=False)
class YOLOHead:
    """As `Head`."""

    settings: YOLOSettings
    input_size_wh: tuple[int, int]
    classes: int
    cells_xys: Floats | None = None

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        settings = self.settings
        rows = finite(settings.output, outputs[settings.output])
        rows = rows.T if settings.transposed else rows
        boxed = None
        if settings.objectness:
            if settings.activation == "none":
                check_lowest(rows[:, 4])
            # A class score is at most the objectness: boxes below the threshold can be dropped first.
            boxed = np.flatnonzero(rows[:, 4] >= before_activation(score_threshold, settings.activation))
            rows = rows[boxed]
        places, class_ids, scores = pick(rows[:, -self.classes :], score_threshold, settings.activation)
        if settings.objectness:
            scores = scores * activated(rows[places, 4], settings.activation)
            enough = scores >= score_threshold
            places, class_ids, scores = places[enough], class_ids[enough], scores[enough]
        boxes_xyxy = as_xyxy(
            self._boxes_cxcywh(rows[places, :4], places if boxed is None else boxed[places]), "cxcywh"
        )
        return Candidates(in_pixels(boxes_xyxy, settings.box_unit, self.input_size_wh), scores, class_ids)

    def _boxes_cxcywh(self, boxes: Floats, places: NDArray[np.intp]) -> Floats:
        """Boxes (n, 4) of the cells at `places`, from the corner of the input."""
        if self.cells_xys is None:
            return boxes
        cells = self.cells_xys[places]
        centers = (boxes[:, :2] + cells[:, :2]) * cells[:, 2:]
        with np.errstate(over="ignore"):  # the detector refuses boxes that are not finite
            sizes = np.exp(boxes[:, 2:]) * cells[:, 2:]
        return np.concatenate([centers, sizes], axis=1)


def _cells_xys(input_size_wh: tuple[int, int]) -> Floats:
    """Column, row and stride of each cell, the finest layer first: float32 (cells, 3)."""
    layers = []
    for stride in _STRIDES:
        columns, rows = (size // stride for size in input_size_wh)
        ys, xs = np.mgrid[:rows, :columns]
        layers.append(np.stack([xs.ravel(), ys.ravel(), np.full(xs.size, stride)], axis=1))
    return np.concatenate(layers).astype(np.float32)


def _row_counts(input_size_wh: tuple[int, int]) -> set[int]:
    """The numbers of boxes of networks with finer or coarser layers as well, with and without anchors."""
    width, height = input_size_wh
    layers = [(width // stride) * (height // stride) for stride in (4, *_STRIDES, 64)]
    counts = {sum(layers[1:4]), sum(layers[:4]), sum(layers[1:])}
    return {count * per_cell for count in counts for per_cell in (1, _ANCHORS_PER_CELL)}


def cell_count(input_size_wh: tuple[int, int]) -> int:
    """The number of grid cells of a YOLO network for an input of this size."""
    width, height = input_size_wh
    return sum((width // stride) * (height // stride) for stride in _STRIDES)
