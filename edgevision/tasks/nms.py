"""Non-maximum suppression: of boxes of one class that overlap too much, the best is kept."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Ints

Places = NDArray[np.intp]


def suppress(boxes_xyxy: NDArray[Any], scores: NDArray[Any], class_ids: Ints, iou_threshold: float) -> Places:
    """Greedy, class-aware non-maximum suppression.

    The best box is kept, and every box of its class whose intersection over union with it exceeds the
    threshold is dropped; then the best of those left, and so on. Of equal scores, the first is best.

    Args:
        boxes_xyxy: (n, 4) finite, with positive width and height.
        scores: (n,).
        class_ids: (n,), 0 or more.
        iou_threshold: 0…1; 1 keeps every box.

    Returns:
        The indices of the boxes that are kept, the best first.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2 or iou_threshold >= 1.0:
        return order
    corners = boxes_xyxy[order].astype(np.float64)
    # OpenCV shifts each class to a region of its own, which separates them only if no corner is negative.
    corners -= corners.min()
    corners[:, 2:] -= corners[:, :2]
    # It drops scores of 0 and breaks ties arbitrarily: ranks avoid both.
    ranks = np.arange(len(order), 0, -1, dtype=np.float32)
    # Measured, 100 boxes: 74 µs; the same as a matrix in numpy 270 µs, and 7 times as long for 1000.
    nms: Any = cv2.dnn.NMSBoxesBatched  # typed for lists only, but accepts arrays
    kept = nms(corners, ranks, class_ids[order].astype(np.int32), 0.0, iou_threshold)
    return order[np.asarray(kept, np.intp).reshape(-1)]
