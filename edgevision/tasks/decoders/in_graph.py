"""Box formats and units as operations of a graph."""

from __future__ import annotations

import numpy as np

from edgevision.graph import Graph, Tensor, columns, scaled


def as_cxcywh(graph: Graph, boxes: Tensor, box_format: str) -> Tensor:
    """Boxes (1, n, 4) in one of `edgevision.tasks.decoders.boxes.FORMATS` as centre and size."""
    if box_format == "cxcywh":
        return boxes
    if box_format == "cycxhw":
        return columns(graph, boxes, 1, 0, 3, 2)
    if box_format == "yxyx":
        boxes, box_format = columns(graph, boxes, 1, 0, 3, 2), "xyxy"
    first, second = graph.part(boxes, 2, 0, 2), graph.part(boxes, 2, 2, 4)
    half = graph.constant(np.asarray([0.5, 0.5], np.float32))
    if box_format == "xyxy":
        size = graph.binary("subtract", second, first)
        center = graph.binary("multiply", graph.binary("add", first, second), half)
    else:
        size = second
        center = graph.binary("add", first, graph.binary("multiply", size, half))
    return graph.concatenate([center, size], 2)


def in_shares(graph: Graph, boxes: Tensor, unit: str, input_size_wh: tuple[int, int]) -> Tensor:
    """Boxes in one of `edgevision.tasks.decoders.settings.UNITS` as shares of the input's size."""
    return scaled(graph, boxes, [1 / size for size in 2 * input_size_wh]) if unit == "pixels" else boxes
