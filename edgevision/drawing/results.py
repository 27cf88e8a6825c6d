"""Draw results into images: readable boxes and labels, one colour per class."""

from __future__ import annotations

import colorsys
import unicodedata
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.system.decimals import percent
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: An irrational step around the hue circle gives consecutive classes distinct colours.
_GOLDEN_SHARE = 0.618034
_DARK_TEXT_ABOVE = 140


def draw_detections(image: Pixels, detections: Detections) -> Pixels:
    """An image with a box and a label for each object, the best drawn last, over the others.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        detections: objects in pixels of `image`.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    out: Pixels = image.copy()
    pen = _Pen.for_image(image)
    for detection in reversed(list(detections)):
        left, top, right, bottom = (round(value) for value in detection.box)
        color = class_color(detection.class_id)
        cv2.rectangle(out, (left, top), (right, bottom), color, pen.line, cv2.LINE_AA)
        label = plain(detection.label, detection.class_id)
        pen.write(out, f"{label} {percent(detection.score, 0, sign='%')}", (left, top), color)
    return out


def outline_detections(image: Pixels, detections: Detections, line: int = 1) -> Pixels:
    """An image with a box for each object, without labels, in the colour of its class.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        detections: objects in pixels of `image`.
        line: line width in pixels.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    out: Pixels = image.copy()
    for detection in detections:
        left, top, right, bottom = (round(value) for value in detection.box)
        color = class_color(detection.class_id)
        cv2.rectangle(out, (left, top), (right, bottom), color, line, cv2.LINE_AA)
    return out


def draw_classification(image: Pixels, classification: Classification, top: int = 1) -> Pixels:
    """An image with the names and scores of its best classes in the upper left corner.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        classification: its classification.
        top: number of classes.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    out: Pixels = image.copy()
    pen = _Pen.for_image(image)
    for line, best in enumerate(classification.top(top)):
        text = f"{plain(best.label, best.class_id)} {percent(best.score, 1, sign='%')}"
        pen.write(out, text, (0, line * pen.height), class_color(best.class_id))
    return out


def class_color(class_id: int) -> Color:
    """The colour of a class, red, green and blue in 0…255: the same in every image and every run."""
    share = class_id * _GOLDEN_SHARE % 1.0
    red, green, blue = colorsys.hsv_to_rgb(share, 0.85 if class_id % 2 == 0 else 0.6, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def plain(label: str, class_id: int) -> str:
    """A label in letters that OpenCV can draw: without accents; for other scripts, the class id."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", label) if not unicodedata.combining(c))
    return letters if letters.isascii() and letters.isprintable() else f"class {class_id}"


@dataclass(frozen=True)
class _Pen:
    """Sizes of text and lines for an image.

    Attributes:
        scale: font scale.
        line: line width in pixels.
        height: height of a line of text with its margins, in pixels.
    """

    scale: float
    line: int
    height: int

    @classmethod
    def for_image(cls, image: Pixels) -> _Pen:
        scale = max(0.35, min(image.shape[:2]) / 900)
        line = max(1, round(scale * 2))
        (_, letters), below = cv2.getTextSize("Ag", _FONT, scale, cls._weight(scale))
        return cls(scale, line, letters + below + 2 * line)

    def write(self, out: Pixels, text: str, corner: tuple[int, int], color: Color) -> None:
        """Write on a background of `color`: above the corner if there is room, and within the image."""
        (width, _), below = cv2.getTextSize(text, _FONT, self.scale, self._weight(self.scale))
        width += 2 * self.line
        left = max(0, min(corner[0], out.shape[1] - width))
        top = corner[1] - self.height if corner[1] >= self.height else max(0, corner[1])
        top = max(0, min(top, out.shape[0] - self.height))
        out[top : top + self.height, left : left + width] = color
        place = left + self.line, top + self.height - below - self.line
        cv2.putText(
            out, text, place, _FONT, self.scale, _readable_on(color), self._weight(self.scale), cv2.LINE_AA
        )

    @staticmethod
    def _weight(scale: float) -> int:
        return max(1, round(scale * 1.4))


def _readable_on(color: Color) -> Color:
    """Black or white, whichever has more contrast."""
    red, green, blue = color
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (0, 0, 0) if luma > _DARK_TEXT_ABOVE else (255, 255, 255)
