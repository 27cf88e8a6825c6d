"""Explanations drawn over their images, for people."""

from __future__ import annotations

import cv2
import numpy as np

from edgevision.decoder import Floats
from edgevision.drawing.results import enlarged
from edgevision.drawing.text import Pen, Pixels, plain
from edgevision.explaining.explanation import Explanation
from edgevision.system.decimals import percent

_BLACK, _WHITE, _GREY = (0, 0, 0), (255, 255, 255), (178, 178, 178)
#: Brightness of what does not matter, and the share of the colour where it matters most.
_DIMMED, _OPAQUE = 0.45, 0.6
#: The share of pixels within the line that is drawn around those that matter most.
_MOST_IMPORTANT = 0.1
_LEAST_WIDTH = 200
#: Pixels of a side that tell where the tenth that matters most begins.
_SAMPLED = 512


def draw_explanation(image: Pixels, explanation: Explanation) -> Pixels:
    """An image whose parts are the brighter the more the score rests on them, with a caption.

    The colours are those of Cividis, which colour-blind people see as others do (Nuñez et al. 2018). A line
    goes around the tenth of the image that matters most, and a frame around the object that is explained.

    Args:
        image: (h, w, 3) uint8 RGB, of the size of the explanation's map; not changed.
        explanation: its explanation.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller; larger than a small image, by a whole factor.
    """
    return _with_caption(draw_map(image, explanation.map, explanation.box_xyxy), explanation)


def draw_map(image: Pixels, found: Floats, box_xyxy: tuple[float, float, float, float] | None) -> Pixels:
    """As `draw_explanation`, without a caption.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        found: float32 (h, w), over its pixels.
        box_xyxy: of the object that is explained, in its pixels; `None` for a class.
    """
    picture, factor = enlarged(image)
    share = _raised_share(found)
    if factor > 1:
        share = cv2.resize(share, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    _color(picture, share)
    pen = Pen.for_picture(picture)
    _outline_best(picture, share, pen.line)
    if box_xyxy is not None:
        corners = [round(value * factor) for value in box_xyxy]
        cv2.rectangle(picture, corners[:2], corners[2:], _BLACK, pen.line + 2, cv2.LINE_AA)
        cv2.rectangle(picture, corners[:2], corners[2:], _WHITE, pen.line, cv2.LINE_AA)
    return picture


def _raised_share(found: Floats) -> Floats:
    """0…1: what raises the score, as a share of the most; what lowers it is 0."""
    raised = np.maximum(found, 0.0)
    most = float(raised.max())
    if most > 0:
        raised = (raised / most).astype(np.float32)
    return raised


def _color(picture: Pixels, share: Floats) -> None:
    """Dim the picture and colour it, in place; a band at a time, because floats take much memory."""
    for top in range(0, picture.shape[0], 256):
        band, part = picture[top : top + 256], share[top : top + 256, :, np.newaxis]
        grey = cv2.cvtColor(cv2.cvtColor(band, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        levels = np.rint(255 * part[:, :, 0]).astype(np.uint8)
        heat = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB)
        opaque = _OPAQUE * part
        brightness = _DIMMED + (1 - _DIMMED) * part
        band[...] = np.rint((1 - opaque) * brightness * grey + opaque * heat).astype(np.uint8)


def _outline_best(picture: Pixels, share: Floats, line: int) -> None:
    rows, columns = (max(1, side // _SAMPLED) for side in share.shape)
    least = float(np.quantile(share[::rows, ::columns], 1 - _MOST_IMPORTANT))
    if least <= 0:
        return
    best = (share >= least).astype(np.uint8)
    contours, _ = cv2.findContours(best, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, _BLACK, line + 2, cv2.LINE_AA)
    cv2.drawContours(picture, contours, -1, _WHITE, line, cv2.LINE_AA)


def _with_caption(picture: Pixels, explanation: Explanation) -> Pixels:
    score = percent(explanation.score, 1, sign="%")
    reliability = explanation.reliability
    quality = "" if reliability is None else f", reliability {reliability:.2f}"
    lines = [
        (f"{plain(explanation.label, explanation.class_id)} {score}", _WHITE),
        (f"{explanation.settings.method}, {explanation.samples} runs{quality}", _GREY),
    ]
    pen = Pen.for_picture(picture)
    height, width = picture.shape[:2]
    out = np.zeros((height + len(lines) * pen.height, max(width, _LEAST_WIDTH), 3), np.uint8)
    left = (out.shape[1] - width) // 2
    out[:height, left : left + width] = picture
    for place, (text, color) in enumerate(lines):
        down = height + place * pen.height
        pen.write(out, pen.fitting(text, out.shape[1] - 2 * pen.margin), 0, down, color)
    return out
