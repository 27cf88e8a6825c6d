"""Colours of classes are told apart, and text on them can be read."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.drawing.colors import class_color, readable_on

#: Viénot, Brettel and Mollon (1999): linear light as seen without red (protan) or green (deutan) cones.
_SEEN = {
    "protan": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "deutan": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
}


def test_neighbouring_classes_differ_in_colour() -> None:
    colors = np.array([class_color(number) for number in range(90)])
    assert np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 60


@pytest.mark.parametrize("kind", _SEEN)
def test_the_first_classes_differ_for_colour_blind_people(kind: str) -> None:
    light = (np.array([class_color(number) for number in range(7)]) / 255) ** 2.2
    seen = 255 * (light @ np.array(_SEEN[kind]).T).clip(0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    assert apart[np.triu_indices(7, 1)].min() > 25


@pytest.mark.parametrize("class_id", range(21))
def test_text_on_a_class_has_contrast(class_id: int) -> None:
    def luminance(color: tuple[int, ...]) -> float:
        return float((np.array(color) / 255) ** 2.2 @ (0.2126, 0.7152, 0.0722))

    ground, text = (luminance(one) for one in (class_color(class_id), readable_on(class_color(class_id))))
    assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4.5, "WCAG 2, level AA"
