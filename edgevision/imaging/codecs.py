"""OpenCV's decoders: 8 bits as RGB, and more bits as they are stored."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def decode_8bit(data: bytes) -> Pixels | None:
    """(h, w, 3) RGB, upright; `None` if it cannot be decoded."""
    encoded = np.frombuffer(data, np.uint8)
    if hasattr(cv2, "IMREAD_COLOR_RGB"):  # OpenCV 4.10.1: saves a pass over the pixels
        decoded: Pixels | None = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
        return decoded
    bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)


def decode_as_stored(data: bytes) -> Pixels | None:
    """As `decode_8bit`, but not turned by an orientation; `None` if it cannot be decoded."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)


def decode_deep(data: bytes) -> tuple[NDArray[Any], str] | None:
    """(h, w, 3) BGR or (h, w), upright, in the dtype of the file, and the channel order.

    `None` if it cannot be decoded.
    """
    # IMREAD_UNCHANGED would leave the orientation to the caller; COLOR_RGB has no effect on 16 bits.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        return None
    return pixels, "gray" if pixels.ndim == 2 else "bgr"
