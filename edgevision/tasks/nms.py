"""Non-maximum suppression: of boxes of one class that overlap too much, the best stays."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Ints

Places = NDArray[np.intp]


def suppress(boxes_xyxy: NDArray[Any], scores: NDArray[Any], class_ids: Ints, iou_threshold: float) -> Places:
    """Greedy, class-aware non-maximum suppression.

    The best box stays, and every one of its class drops whose intersection over union with it is
    above the threshold; so on with the best that is left. Of equal scores the first comes first.

    Args:
        boxes_xyxy: (n, 4) finite, each of some width and height.
        scores: (n,).
        class_ids: (n,), 0 or more.
        iou_threshold: 0…1; with 1 every box stays.

    Returns:
        The places of the boxes that stay, the best first.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2 or iou_threshold >= 1.0:
        return order
    corners = boxes_xyxy[order].astype(np.float64)
    # OpenCV moves each class to a place of its own, which parts them only if no corner is below 0.
    corners -= corners.min()
    corners[:, 2:] -= corners[:, :2]
    # It drops scores of 0 and breaks ties as it likes: so it is given ranks.
    ranks = np.arange(len(order), 0, -1, dtype=np.float32)
    # Measured, 100 boxes: 74 µs; the same as a matrix in numpy 270 µs, and 7 times as long for 1000.
    suppressed: Any = cv2.dnn.NMSBoxesBatched  # its stub knows lists only, and it takes arrays
    kept = suppressed(corners, ranks, class_ids[order].astype(np.int32), 0.0, iou_threshold)
    return order[np.asarray(kept, np.intp).reshape(-1)]
