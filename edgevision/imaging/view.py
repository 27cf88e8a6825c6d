"""Images for people: 8 bits, black to white as the network sees them."""

from __future__ import annotations

import numpy as np

from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import ValueMapping, levelled, shares_of_white
from edgevision.imaging.pixels import Pixels, as_rgb


def viewable(image: Pixels | Frame, mapping: ValueMapping) -> Pixels:
    """An image to be shown or drawn on: (h, w, 3) uint8 RGB.

    Args:
        image: (h, w, 3) uint8 RGB, which is returned as it is, or a frame.
        mapping: of the network.

    Raises:
        InputError: the mapping does not cover the values of the image.
    """
    if not isinstance(image, Frame):
        return image
    shares = shares_of_white(levelled(image, mapping))
    return as_rgb(np.rint(shares * 255).clip(0, 255).astype(np.uint8), image.color)


def size_wh_of(image: Pixels | Frame) -> tuple[int, int]:
    """Width and height in pixels."""
    return image.size_wh if isinstance(image, Frame) else (image.shape[1], image.shape[0])
