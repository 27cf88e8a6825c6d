"""Colours of classes: the same in every image and every run, and told apart by colour-blind people."""

from __future__ import annotations

Color = tuple[int, int, int]

#: Okabe and Ito (2008), "Color Universal Design", without black.
_PALETTE: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
#: Share of black (below 0) or white (above 0) in the colours of the first seven classes, the next seven, …
_SHADES = (0.0, -0.4, 0.5)


def class_color(class_id: int) -> Color:
    """The colour of a class, red, green and blue in 0…255. After 21 classes the colours repeat."""
    shade = _SHADES[class_id // len(_PALETTE) % len(_SHADES)]
    mixed, share = (255, shade) if shade > 0 else (0, -shade)
    red, green, blue = (
        round(value + (mixed - value) * share) for value in _PALETTE[class_id % len(_PALETTE)]
    )
    return red, green, blue


def readable_on(color: Color) -> Color:
    """Black or white, whichever has more contrast with `color` (relative luminance of WCAG 2)."""
    red, green, blue = ((value / 255) ** 2.2 for value in color)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)
