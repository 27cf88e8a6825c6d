"""Pictures side by side, each with a caption."""

from __future__ import annotations

import numpy as np

from edgevision.drawing.text import Pen, Pixels

_GAP = 4
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def side_by_side(panels: dict[str, Pixels]) -> Pixels:
    """The pictures next to each other, on white, with their captions above.

    Args:
        panels: caption -> (h, w, 3) or (h, w, 1) uint8.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    pictures = [np.broadcast_to(one, (*one.shape[:2], 3)) for one in panels.values()]
    pen = Pen.for_picture(max(pictures, key=lambda one: max(one.shape[:2])))
    widths = [max(one.shape[1], pen.width(caption)) for caption, one in zip(panels, pictures, strict=True)]
    height = pen.height + max(one.shape[0] for one in pictures)
    out = np.full((height, sum(widths) + _GAP * (len(widths) - 1), 3), _WHITE, np.uint8)
    left = 0
    for caption, picture, width in zip(panels, pictures, widths, strict=True):
        pen.write(out, caption, left, 0, _BLACK)
        out[pen.height : pen.height + picture.shape[0], left : left + picture.shape[1]] = picture
        left += width + _GAP
    return out
