"""SVG drawings for a page, with a title and a description for screen readers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

#: Font size in charts, and the approximate width of a letter, in pixels.
TEXT_SIZE, LETTER = 12, 6.6


class Drawing:
    """An ``<svg>`` element; the page's style sheet sets the colours by the class of each shape.

    Args:
        name: unique on the page, made of letters, digits and hyphens.
        width, height: in pixels.
        title: title for screen readers.
        description: content in words, for screen readers.
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
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw a line through the points."""
        self._add("path", kind, d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))

    def box(
        self, corner: tuple[float, float], size_wh: tuple[float, float], kind: str, tooltip: str = ""
    ) -> None:
        """Draw a rectangle from its upper left corner, with an optional tooltip."""
        width, height = size_wh
        shape = self._add("rect", kind, x=corner[0], y=corner[1], width=width, height=height)
        if tooltip:
            ElementTree.SubElement(shape, "title").text = tooltip

    def shade(self, corner: tuple[float, float], side: float, share: float) -> None:
        """Draw a square, filled with an opacity of `share`."""
        shape = self._add("rect", "shade", x=corner[0], y=corner[1], width=side, height=side)
        shape.set("fill-opacity", _number(share))

    def mark(self, middle: tuple[float, float], kind: str, shape: int = 0) -> None:
        """Draw the mark of a value: a circle, square, triangle or diamond for `shape` 0 to 3."""
        x, y = middle
        corners = _SHAPES[shape % len(_SHAPES)]
        if corners:
            self._add("path", kind, d="M" + "L".join(f"{x + a:.1f} {y + b:.1f}" for a, b in corners) + "Z")
        else:
            self._add("circle", kind, cx=x, cy=y, r=4.5)

    def text(self, place: tuple[float, float], words: str, kind: str = "", anchor: str = "start") -> None:
        """Write text whose baseline starts, is centred or ends at a place, by its `anchor`."""
        element = self._add("text", kind, x=place[0], y=place[1])
        element.set("text-anchor", anchor)
        element.text = words

    def vertical_text(self, place: tuple[float, float], words: str) -> None:
        """Write text that runs upwards from a place."""
        element = self._add("text", "", x=place[0], y=place[1])
        element.set("transform", f"rotate(-90 {_number(place[0])} {_number(place[1])})")
        element.text = words

    def __str__(self) -> str:
        """The element as XML, with its texts escaped."""
        return ElementTree.tostring(self._root, encoding="unicode")

    def _add(self, tag: str, kind: str, **places: float | str) -> ElementTree.Element:
        values = {name: value if isinstance(value, str) else _number(value) for name, value in places.items()}
        return ElementTree.SubElement(self._root, tag, {**({"class": kind} if kind else {}), **values})


@dataclass(frozen=True)
class Scale:
    """A linear scale from values to pixels, with round ticks.

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
        """A scale that covers all values and ends on ticks."""
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

    def label(self, tick: float) -> str:
        """A tick as text, with as many decimals as its step has; zero has no sign."""
        step = self.ticks[1] - self.ticks[0]
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{tick + 0.0:.{digits}f}"


def shortened(words: str, letters: int) -> str:
    """The words, truncated with an ellipsis if they are longer than `letters`."""
    return words if len(words) <= letters else words[: letters - 1] + "…"


_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-4, -4), (4, -4), (4, 4), (-4, 4)),
    ((0, -5), (5, 4), (-5, 4)),
    ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
)


def _round_step(least: float) -> float:
    """The smallest number of the form 1, 2 or 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
