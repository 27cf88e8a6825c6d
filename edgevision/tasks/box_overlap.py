"""How much boxes overlap."""

from __future__ import annotations

import numpy as np

from edgevision.decoder import Floats


def iou(first_xyxy: Floats, second_xyxy: Floats) -> Floats:
    """Intersection over union of every pair of boxes, float32 ``(n, m)``, for ``(n, 4)`` and ``(m, 4)``."""
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1) for boxes in (first_xyxy, second_xyxy)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps
