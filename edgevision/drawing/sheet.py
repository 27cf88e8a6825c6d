"""Pictures of any sizes on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from edgevision.drawing.text import Pixels

_GAP = 4


def contact_sheet(pictures: Sequence[Pixels], side: int) -> Pixels:
    """The pictures in rows on black, each made to fit a square.

    Args:
        pictures: (h, w, 3) uint8 RGB each, one or more.
        side: of the square, in pixels.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    cell = side + _GAP
    out = np.zeros((rows * cell - _GAP, columns * cell - _GAP, 3), np.uint8)
    for place, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        scale = side / max(height, width)
        size_wh = max(1, round(width * scale)), max(1, round(height * scale))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        top = place // columns * cell + (side - size_wh[1]) // 2
        left = place % columns * cell + (side - size_wh[0]) // 2
        fitted = cv2.resize(picture, size_wh, interpolation=interpolation)
        out[top : top + size_wh[1], left : left + size_wh[0]] = fitted
    return out
