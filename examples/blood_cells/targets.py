"""Training targets for an image with known boxes, and the losses."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

#: Standard deviation of a peak in the heat map, relative to the box's width and height.
SPREAD = 0.1
#: Least standard deviation, in cells.
LEAST_SPREAD = 0.7
#: Cells where the peak is at least this high learn the size of its box: also beside the centre.
REACH = 0.3
#: Weights of the three losses.
WEIGHTS = {"heatmap": 1.0, "size": 12.0, "offset": 1.0}
#: Weight of each class in the heat map: there are ten times as many red cells as others.
CLASS_WEIGHTS = (1.0, 2.0, 2.0)

Targets = dict[str, NDArray[np.float32]]


def render(
    boxes_xyxy: NDArray[np.float32],
    class_ids: NDArray[np.int64],
    classes: int,
    size_wh: tuple[int, int],
    stride: int,
) -> Targets:
    """Draw boxes as targets for the three outputs of the network.

    Args:
        boxes_xyxy: (n, 4) in pixels of the network's input, inside it.
        class_ids: (n,).
        classes: number of classes.
        size_wh: size of the network's input.
        stride: pixels per cell.

    Returns:
        ``heatmap`` (h, w, classes): a Gaussian peak for each box, 1 in the cell of its centre;
        ``size`` (h, w, 3): the square roots of width and height relative to the input's, and a
        weight, with a sum of 1 per box; ``offset`` (h, w, 3): x and y of the centre in its
        cell, and a weight of 1 in that cell. All float32.
    """
    width, height = size_wh[0] // stride, size_wh[1] // stride
    heatmap = np.zeros((height, width, classes), np.float32)
    size, offset = (np.zeros((height, width, 3), np.float32) for _ in range(2))
    highest = np.zeros((height, width), np.float32)
    columns, rows = np.arange(width), np.arange(height)[:, None]
    for box, class_id in zip(boxes_xyxy, class_ids, strict=True):
        wh = box[2:] - box[:2]
        center = np.minimum((box[:2] + box[2:]) / 2 / stride, [width - 1e-3, height - 1e-3])
        column, row = center.astype(int)
        spread = np.maximum(SPREAD * wh / stride, LEAST_SPREAD)
        peak = np.exp(-(((columns - column) / spread[0]) ** 2 + ((rows - row) / spread[1]) ** 2) / 2)
        np.maximum(heatmap[..., class_id], peak, out=heatmap[..., class_id])
        own = (peak >= REACH) & (peak > highest)
        highest[own] = peak[own]
        size[own, :2] = np.sqrt(wh / size_wh)
        size[own, 2] = peak[own] / peak[peak >= REACH].sum()
        offset[row, column] = (*(center - (column, row)), 1)
    return {"heatmap": heatmap, "size": size, "offset": offset}


def focal_loss(target: keras.KerasTensor, heatmap: keras.KerasTensor) -> keras.KerasTensor:
    """The penalty-reduced focal loss of CornerNet (Law and Deng, 2018), per box in the batch."""
    heatmap = ops.clip(heatmap, 1e-4, 1 - 1e-4)
    is_center = ops.cast(target >= 1, heatmap.dtype)
    at_centers = is_center * (1 - heatmap) ** 2 * ops.log(heatmap)
    elsewhere = (1 - is_center) * (1 - target) ** 4 * heatmap**2 * ops.log(1 - heatmap)
    loss = ops.sum(at_centers + elsewhere, axis=(0, 1, 2))
    return -ops.sum(CLASS_WEIGHTS * loss) / ops.maximum(ops.sum(is_center), 1)


def weighted_l1_loss(target: keras.KerasTensor, values: keras.KerasTensor) -> keras.KerasTensor:
    """Mean distance, with the weights in the last channel of `target`."""
    weight = target[..., 2:]
    return ops.sum(weight * ops.abs(target[..., :2] - values)) / ops.maximum(ops.sum(weight), 1)


LOSSES: dict[str, Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]] = {
    "heatmap": focal_loss,
    "size": weighted_l1_loss,
    "offset": weighted_l1_loss,
}
