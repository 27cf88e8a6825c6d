"""Text in pictures: the letters that can be drawn, and their size."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.drawing.colors import Color

Pixels = NDArray[np.uint8]

#: OpenCV 5 comes with a font of most scripts.
_HAS_SCRIPTS = int(cv2.__version__.partition(".")[0]) >= 5
_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Height of a capital letter at the scale 1, in pixels.
_CAPITAL = 21
#: The least height of a capital letter that can be read, in pixels, and that of an image's longer side.
_LEAST_CAPITAL, _CAPITAL_SHARE = 9, 1 / 55
_ELLIPSIS = "..."
#: Letters that are no accented letters of the Latin alphabet.
_SPELLED = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "\N{LATIN SMALL LETTER DOTLESS I}": "i", "\N{RIGHT SINGLE QUOTATION MARK}": "'"}
    | {"\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{HORIZONTAL ELLIPSIS}": "..."}
)


def plain(label: str, class_id: int, *, any_script: bool = _HAS_SCRIPTS) -> str:
    """A label in letters that OpenCV can draw.

    Args:
        label: any text.
        class_id: written instead of a label that cannot be drawn.
        any_script: False for the fonts of OpenCV 4, which have English letters only: accents are left out.
    """
    if any_script and label.isprintable():
        return label
    spelled = unicodedata.normalize("NFKD", label.translate(_SPELLED))
    letters = "".join(char for char in spelled if not unicodedata.combining(char))
    return letters if letters.isascii() and letters.isprintable() else f"class {class_id}"


@dataclass(frozen=True)
class Pen:
    """One size of text, with the margins and lines that go with it.

    Attributes:
        scale: of OpenCV's font.
        weight: width of the strokes, in pixels.
        line: width of the lines of boxes, in pixels.
        margin: around the text, in pixels.
        height: of a line of text with its margins, in pixels.
        below: height of what is below the letters' base line, in pixels.
    """

    scale: float
    weight: int
    line: int
    margin: int
    height: int
    below: int

    @classmethod
    def for_picture(cls, picture: Pixels, larger: float = 1.0) -> Pen:
        """The pen for a picture ``(h, w, …)``; `larger` times as large as usual."""
        return cls._of(round(larger * max(_LEAST_CAPITAL, max(picture.shape[:2]) * _CAPITAL_SHARE)))

    @classmethod
    @lru_cache(maxsize=64)
    def _of(cls, capital: int) -> Pen:
        scale = capital / _CAPITAL
        weight = max(1, round(capital / 9))
        (_, ascent), below = cv2.getTextSize("Ag", _FONT, scale, weight)
        margin = max(2, round(capital / 4))
        return cls(scale, weight, max(1, round(capital / 6)), margin, ascent + below + 2 * margin, below)

    def width(self, text: str) -> int:
        """Width of a line of text with its margins, in pixels."""
        return int(cv2.getTextSize(text, _FONT, self.scale, self.weight)[0][0]) + 2 * self.margin

    def fitting(self, text: str, width: int) -> str:
        """The text, cut so that it fits in `width` pixels; empty if nothing does."""
        if self.width(text) <= width:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.width(text[:middle].rstrip() + _ELLIPSIS) <= width
            low, high = (middle, high) if fits else (low, middle - 1)
        return text[:low].rstrip() + _ELLIPSIS if low else ""

    def write(self, out: Pixels, text: str, left: int, top: int, color: Color) -> None:
        """Write a line of text whose margins begin at the corner ``(left, top)``."""
        place = left + self.margin, top + self.height - self.margin - self.below
        cv2.putText(out, text, place, _FONT, self.scale, color, self.weight, cv2.LINE_AA)
