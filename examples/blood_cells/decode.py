"""From the network's three outputs to boxes.

With the input ``W`` x ``H`` pixels and the heat map ``w`` x ``h`` cells, a cell is ``W / w`` pixels
wide and ``H / h`` high (here 8 and 8). Rows and columns count from 0 at the top left; pixel
coordinates count from the top left corner of the image, so the image spans 0…W and 0…H.

A cell (row, column) is an object of class c if ``heatmap[row, column, c]`` is the highest value of its
3 x 3 neighbourhood in channel c; that value is the score. Equal neighbours, which int8 produces, are
each a peak: the last step keeps one. Its box, in pixels of the network's input:

    center_x = (column + offset[row, column, 0]) * W / w
    center_y = (row    + offset[row, column, 1]) * H / h
    width    = size[row, column, 0] ** 2 * W
    height   = size[row, column, 1] ** 2 * H

`size` contains square roots of shares of the whole input, so that a small box keeps about the relative
precision of a large one when the tensor is quantized to 8 bits: a step of 1/256 changes the side of a
platelet (20 pixels of 320) by 0.6 pixels and that of a white blood cell (160) by 1.8.
Boxes of one class that overlap by more than `NMS_IOU` are suppressed, highest score first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

#: Largest number of peaks per image, of all classes together.
MAX_PEAKS = 200
NMS_IOU = 0.6

Detections = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def decode(
    outputs: Mapping[str, NDArray[np.float32]], input_wh: tuple[int, int], min_score: float = 0.01
) -> Detections:
    """Decode the outputs of one image.

    Args:
        outputs: ``heatmap`` (h, w, classes), ``size`` and ``offset`` (h, w, 2), float32 of 0…1.
        input_wh: width and height of the network's input.
        min_score: lowest score of a detection.

    Returns:
        Boxes (n, 4) float32, left, top, right, bottom in pixels of the network's input, clipped to
        it; scores (n,) float32, descending; class ids (n,) int64.
    """
    heatmap = outputs["heatmap"]
    peaks = np.where(heatmap == _max_3x3(heatmap), heatmap, 0).ravel()
    best = np.argsort(-peaks, kind="stable")[:MAX_PEAKS]
    best = best[peaks[best] >= min_score]
    rows, columns, class_ids = np.unravel_index(best, heatmap.shape)
    centers = np.stack([columns, rows], axis=1) + outputs["offset"][rows, columns]
    cells_wh = np.array(heatmap.shape[1::-1])
    half_wh = outputs["size"][rows, columns] ** 2 * input_wh / 2
    centers = centers * (input_wh / cells_wh)
    boxes = np.concatenate([centers - half_wh, centers + half_wh], axis=1)
    boxes = np.clip(boxes, 0, np.tile(input_wh, 2)).astype(np.float32)
    kept = _after_nms(boxes, class_ids)
    return boxes[kept], peaks[best][kept].astype(np.float32), class_ids[kept].astype(np.int64)


def iou(boxes_xyxy: NDArray[np.float32], others_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each of n boxes with each of m others: (n, m)."""
    first, second = boxes_xyxy[:, None], others_xyxy[None]
    overlap_wh = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    overlap = np.prod(np.maximum(overlap_wh, 0), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (first, second)]
    return np.asarray(overlap / np.maximum(areas[0] + areas[1] - overlap, 1e-9), np.float32)


def _max_3x3(heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(heatmap, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    return np.asarray(windows.max(axis=(-2, -1)))


def _after_nms(boxes: NDArray[np.float32], class_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Greedy NMS: indices of the boxes that remain."""
    covers = (iou(boxes, boxes) > NMS_IOU) & (class_ids[:, None] == class_ids[None])
    remaining = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if remaining[index]:
            remaining[index + 1 :] &= ~covers[index, index + 1 :]
    return np.flatnonzero(remaining)
