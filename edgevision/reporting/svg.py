"""Pictures in lines, for a page: drawn by hand, with a title and a description for those who cannot see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

#: Of the text in charts, and about how wide a letter of it is, in pixels.
TEXT_SIZE, LETTER = 12, 6.6


class Drawing:
    """An ``<svg>`` element; colours come from the page's style sheet, by the class of each shape.

    Args:
        name: unique on the page, of letters, digits and hyphens.
        width, height: in pixels.
        title: what it is.
        description: what it shows, in words.
    """

    def __init__(self, name: str, width: float, height: float, title: str, description: str) -> None:
        self._root = ElementTree.Element(
            "svg",
            {
                "class": "chart",
                "viewBox": f"0 0 {_number(width)} {_number(height)}",
                "width": _number(width),
                "height": _number(height),
                "role": "img",
                "aria-labelledby": f"{name}-title {name}-description",
            },
        )
        ElementTree.SubElement(self._root, "title", {"id": f"{name}-title"}).text = title
        ElementTree.SubElement(self._root, "desc", {"id": f"{name}-description"}).text = description

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def way(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line from point to point."""
        self._add("path", kind, d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))

    def box(
        self, corner: tuple[float, float], size_wh: tuple[float, float], kind: str, told: str = ""
    ) -> None:
        """A rectangle from its upper left corner; `told` is read where a pointer rests on it."""
        width, height = size_wh
        shape = self._add("rect", kind, x=corner[0], y=corner[1], width=width, height=height)
        if told:
            ElementTree.SubElement(shape, "title").text = told

    def shade(self, corner: tuple[float, float], side: float, share: float) -> None:
        """A square that is the more filled, the nearer `share` is to 1."""
        shape = self._add("rect", "shade", x=corner[0], y=corner[1], width=side, height=side)
        shape.set("fill-opacity", _number(share))

    def mark(self, middle: tuple[float, float], kind: str, shape: int = 0) -> None:
        """A mark of a value: a circle, square, triangle, diamond, by its number."""
        x, y = middle
        corners = _SHAPES[shape % len(_SHAPES)]
        if corners:
            self._add("path", kind, d="M" + "L".join(f"{x + a:.1f} {y + b:.1f}" for a, b in corners) + "Z")
        else:
            self._add("circle", kind, cx=x, cy=y, r=4.5)

    def text(self, place: tuple[float, float], words: str, kind: str = "", anchor: str = "start") -> None:
        """Words whose base line begins, has its middle or ends at a place."""
        found = self._add("text", kind, x=place[0], y=place[1])
        found.set("text-anchor", anchor)
        found.text = words

    def upwards(self, place: tuple[float, float], words: str) -> None:
        """Words that run upwards from a place."""
        found = self._add("text", "", x=place[0], y=place[1])
        found.set("transform", f"rotate(-90 {_number(place[0])} {_number(place[1])})")
        found.text = words

    def __str__(self) -> str:
        """The element, every text in it escaped."""
        return ElementTree.tostring(self._root, encoding="unicode")

    def _add(self, tag: str, kind: str, **places: float | str) -> ElementTree.Element:
        values = {name: value if isinstance(value, str) else _number(value) for name, value in places.items()}
        return ElementTree.SubElement(self._root, tag, {**({"class": kind} if kind else {}), **values})


@dataclass(frozen=True)
class Scale:
    """Values laid out along an axis, with round numbers as its ticks.

    Attributes:
        low, high: the values at its ends.
        start, end: the pixels at its ends.
        ticks: round values between the ends.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, most_ticks: int = 6) -> Scale:
        """A scale that holds all values, and ends on ticks."""
        low, high = min(values), max(values)
        if high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        step = _round_step((high - low) / most_ticks)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(round(place * step, 10) for place in range(first, last + 1))
        return cls(ticks[0], ticks[-1], start, end, ticks)

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def told(self, tick: float) -> str:
        """A tick as text, with as many digits as its neighbours need; what is nothing has no sign."""
        step = self.ticks[1] - self.ticks[0]
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{tick + 0.0:.{digits}f}"


def shortened(words: str, letters: int) -> str:
    """Words that are cut, with an ellipsis, where they are longer."""
    return words if len(words) <= letters else words[: letters - 1] + "…"


_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    ((0, -5), (5, 4), (-5, 4)),
    ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
)


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, no less than `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
