"""The size of a picture for people."""

from __future__ import annotations

import cv2

from edgevision.imaging.pixels import Pixels


def shrunk(image: Pixels, side: int) -> Pixels:
    """An image, scaled down so that its longer side has `side` pixels at most."""
    factor = side / max(image.shape[:2])
    if factor >= 1:
        return image
    width, height = (max(1, round(size * factor)) for size in (image.shape[1], image.shape[0]))
    small: Pixels = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small
