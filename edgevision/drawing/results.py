"""Draw results into images: boxes and labels that can be read, each class in a colour of its own."""

from __future__ import annotations

import colorsys
import unicodedata
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: An irrational step round the circle of hues keeps classes that follow one another apart.
_GOLDEN_SHARE = 0.618034
_DARK_TEXT_ABOVE = 140


def draw_detections(image: Pixels, found: Detections) -> Pixels:
    """An image with a box and a label for each object, the best drawn last, over the others.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        found: in pixels of `image`.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    out: Pixels = image.copy()
    pen = _Pen.for_image(image)
    for one in reversed(list(found)):
        left, top, right, bottom = (round(value) for value in one.box)
        color = class_color(one.class_id)
        cv2.rectangle(out, (left, top), (right, bottom), color, pen.line, cv2.LINE_AA)
        pen.write(out, f"{plain(one.label, one.class_id)} {one.score:.0%}", (left, top), color)
    return out


def outline_detections(image: Pixels, found: Detections, line: int = 1) -> Pixels:
    """An image with a box for each object, without labels, in the colour of its class.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        found: in pixels of `image`.
        line: the width of the line in pixels.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    out: Pixels = image.copy()
    for one in found:
        left, top, right, bottom = (round(value) for value in one.box)
        cv2.rectangle(out, (left, top), (right, bottom), class_color(one.class_id), line, cv2.LINE_AA)
    return out


def draw_classification(image: Pixels, found: Classification, top: int = 1) -> Pixels:
    """An image with the names and scores of its best classes in the upper left corner.

    Args:
        image: (h, w, 3) uint8 RGB; not changed.
        found: what is in it.
        top: how many classes.

    Returns:
        (h, w, 3) uint8 RGB, owned by the caller.
    """
    out: Pixels = image.copy()
    pen = _Pen.for_image(image)
    for line, one in enumerate(found.top(top)):
        text = f"{plain(one.label, one.class_id)} {one.score:.1%}"
        pen.write(out, text, (0, line * pen.height), class_color(one.class_id))
    return out


def class_color(class_id: int) -> Color:
    """The colour of a class, red, green and blue of 0…255: the same in every image and every run."""
    share = class_id * _GOLDEN_SHARE % 1.0
    red, green, blue = colorsys.hsv_to_rgb(share, 0.85 if class_id % 2 == 0 else 0.6, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def plain(label: str, class_id: int) -> str:
    """A label in the letters that OpenCV draws: without accents; of other scripts, the class's number."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", label) if not unicodedata.combining(c))
    return letters if letters.isascii() and letters.isprintable() else f"class {class_id}"


@dataclass(frozen=True)
class _Pen:
    """Sizes that suit an image.

    Attributes:
        scale: of the font.
        line: width of a line in pixels.
        height: of a line of text with its margins, in pixels.
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
        """Write on a plate of `color`: above the corner where there is room, and inside the image."""
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
    """Black or white, whichever stands out."""
    red, green, blue = color
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (0, 0, 0) if luma > _DARK_TEXT_ABOVE else (255, 255, 255)
