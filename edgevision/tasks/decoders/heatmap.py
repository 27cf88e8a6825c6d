"""Heat maps of object centres: Zhou, Wang and Krähenbühl 2019, "Objects as Points" (CenterNet).

Objects are at the local maxima (3 x 3) of the heat map of their class; two more outputs hold, for each
cell, the size of the box and the position of its centre within the cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from edgevision.decoder import Candidates, Floats, Ints, finite
from edgevision.graph import Graph, GraphBoxes, one_class_each, scaled
from edgevision.graph import activated as activated_in_graph
from edgevision.tasks.decoders.scores import activated, before_activation, check_lowest
from edgevision.tasks.decoders.settings import check_shape, output_named, read_settings, tensor, words
from edgevision.tensors import TensorSpec

_NAME = "heatmap"
#: In an exported graph; a fourth class in one cell is as good as never found.
_CLASSES_PER_CELL = 3
_WINDOW = np.ones((3, 3), np.uint8)
SIZE_UNITS = ("cells", "pixels", "share", "root-share")


@dataclass(frozen=True)
class HeatmapSettings:
    """Settings of decoder ``heatmap``.

    Attributes:
        heatmap: output (h, w, classes).
        size: output (h, w, 2): width and height of the box.
        offset: output (h, w, 2): x and y of the centre, in cells from the cell's top left corner.
        size_unit: of `size`: ``cells`` of the heat map, as in the paper; ``pixels`` of the
            input; ``share`` of the input's width and height; ``root-share``: its square
            root, which keeps small boxes precise in 8 bits.
        activation: to apply to the heat map: ``none`` if it is 0…1 already, or ``sigmoid``.
    """

    heatmap: str = field(metadata=tensor("the heat map"))
    size: str = field(metadata=tensor("the sizes"))
    offset: str = field(metadata=tensor("the offsets of the centres"))
    size_unit: str = field(metadata=words(SIZE_UNITS))
    activation: str = field(default="none", metadata=words(("none", "sigmoid")))


class Heatmap:
    """Decoder for CenterNet-style heads."""

    name = _NAME
    nms_applied = False

    def recognise(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int]
    ) -> Mapping[str, Any] | None:
        """As `Decoder.recognise`: by the names ``heatmap``, ``size`` and ``offset``."""
        if {spec.name for spec in outputs} != {"heatmap", "size", "offset"}:
            return None
        return {"heatmap": "heatmap", "size": "size", "offset": "offset"}

    def prepare(
        self, outputs: Sequence[TensorSpec], input_size_wh: tuple[int, int], settings: Mapping[str, Any]
    ) -> HeatmapHead:
        """As `Decoder.prepare`; see `HeatmapSettings`."""
        read = read_settings(HeatmapSettings, settings, _NAME)
        heatmap = output_named(outputs, read.heatmap, _NAME, "heatmap")
        check_shape(heatmap, len(heatmap.shape) == 3, "(h, w, classes)", _NAME)
        for role in ("size", "offset"):
            spec = output_named(outputs, getattr(read, role), _NAME, role)
            check_shape(spec, spec.shape == (*heatmap.shape[:2], 2), "(h, w, 2), as the heat map,", _NAME)
        return HeatmapHead(read, input_size_wh, heatmap.shape[2] or 0)

    def in_graph(
        self,
        graph: Graph,
        outputs: Sequence[TensorSpec],
        input_size_wh: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> GraphBoxes:
        """As `edgevision.graph.GraphDecoder.in_graph`."""
        head = self.prepare(outputs, input_size_wh, settings)
        read = head.settings
        heatmap = graph.output(read.heatmap)
        _, height, width, classes = graph.shape(heatmap)
        peaks = graph.binary("equal", heatmap, graph.highest_of_neighbours(heatmap))
        scores = graph.binary("multiply", activated_in_graph(graph, heatmap, read.activation), peaks)
        rows, columns = np.divmod(np.arange(height * width), width)
        corners = graph.constant(np.stack([columns, rows], axis=1)[np.newaxis].astype(np.float32))
        offset = graph.reshape(graph.output(read.offset), (1, height * width, 2))
        centers = scaled(graph, graph.binary("add", offset, corners), (1 / width, 1 / height))
        sizes = graph.reshape(graph.output(read.size), (1, height * width, 2))
        if read.size_unit == "root-share":
            sizes = graph.unary("square", sizes)
        elif read.size_unit != "share":
            per_unit = (width, height) if read.size_unit == "cells" else input_size_wh
            sizes = scaled(graph, sizes, [1 / size for size in per_unit])
        boxes = graph.concatenate([centers, sizes], 2)
        found = GraphBoxes(boxes, graph.reshape(scores, (1, height * width, classes)))
        # Objects of several classes may have their centres in one cell.
        return one_class_each(graph, found, _CLASSES_PER_CELL)


@dataclass(frozen=True)
class HeatmapHead:
    """As `Head`."""

    settings: HeatmapSettings
    input_size_wh: tuple[int, int]
    classes: int

    def __call__(self, outputs: Mapping[str, Floats], score_threshold: float) -> Candidates:
        """As `Head.__call__`."""
        settings = self.settings
        heatmap = finite(settings.heatmap, outputs[settings.heatmap])
        if settings.activation == "none":
            check_lowest(heatmap)
        peaks = _peaks(heatmap, before_activation(score_threshold, settings.activation))
        cells, class_ids = np.divmod(peaks, heatmap.shape[2])
        rows, columns = np.divmod(cells, heatmap.shape[1])
        cells_wh = np.array(heatmap.shape[1::-1], np.float32)
        cell_wh = np.array(self.input_size_wh, np.float32) / cells_wh
        offset = finite(settings.offset, outputs[settings.offset].reshape(-1, 2).take(cells, axis=0))
        centers = (np.stack([columns, rows], axis=1) + offset) * cell_wh
        sizes = finite(settings.size, outputs[settings.size].reshape(-1, 2).take(cells, axis=0))
        half_wh = self._sizes_wh(sizes, cell_wh) / 2
        boxes_xyxy = np.concatenate([centers - half_wh, centers + half_wh], axis=1).astype(np.float32)
        return Candidates(boxes_xyxy, activated(heatmap.take(peaks), settings.activation), class_ids)

    def _sizes_wh(self, sizes: Floats, cell_wh: Floats) -> Floats:
        """Widths and heights in pixels of the input."""
        unit = self.settings.size_unit
        if unit == "cells":
            return sizes * cell_wh
        if unit == "pixels":
            return sizes
        shares = sizes if unit == "share" else sizes**2
        return shares * np.array(self.input_size_wh, np.float32)


def _peaks(heatmap: Floats, least: float) -> Ints:
    """The local maxima (3 x 3) of the heat map, as indices into the flattened map."""
    # OpenCV's dilation ignores what lies beyond the border.
    highest = cv2.dilate(np.ascontiguousarray(heatmap), _WINDOW).reshape(heatmap.shape)
    return np.flatnonzero((heatmap >= least) & (heatmap == highest))
