"""Conversion of box formats to left, top, right, bottom in pixels."""

from __future__ import annotations

import numpy as np

from edgevision.decoder import Floats

#: left, top, right, bottom; top, left, bottom, right; left, top, width, height; centre, size; the same with
#: y before x.
FORMATS = ("xyxy", "yxyx", "xywh", "cxcywh", "cycxhw")


def as_xyxy(boxes: Floats, box_format: str) -> Floats:
    """Boxes (n, 4) in one of `FORMATS` as left, top, right, bottom."""
    if box_format == "yxyx":
        return boxes.take((1, 0, 3, 2), axis=1)
    if box_format == "cycxhw":
        return as_xyxy(boxes.take((1, 0, 3, 2), axis=1), "cxcywh")
    if box_format == "xywh":
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    if box_format == "cxcywh":
        half = boxes[:, 2:] / 2
        return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return boxes


def in_pixels(boxes_xyxy: Floats, unit: str, input_size_wh: tuple[int, int]) -> Floats:
    """Boxes with coordinates in one of `edgevision.tasks.decoders.settings.UNITS`, in pixels."""
    if unit == "pixels":
        return np.asarray(boxes_xyxy, np.float32)
    return np.asarray(boxes_xyxy * np.array(input_size_wh * 2, np.float32), np.float32)
