"""Text in pictures: letters that can be drawn, large enough, and cut where there is no room."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.drawing.text import Pen, plain


@pytest.mark.parametrize(
    ("label", "shown"),
    [("cat", "cat"), ("Kätzchen", "Katzchen"), ("Straße", "Strasse"), ("猫", "class 4"), ("a\nb", "class 4")],
)
def test_opencv_4_has_english_letters(label: str, shown: str) -> None:
    assert plain(label, 4, any_script=False) == shown


@pytest.mark.parametrize(
    ("label", "shown"), [("Kätzchen", "Kätzchen"), ("猫", "猫"), ("a\nb", "class 4"), ("a\x1b[2J", "class 4")]
)
def test_opencv_5_has_other_scripts(label: str, shown: str) -> None:
    assert plain(label, 4, any_script=True) == shown


@pytest.mark.parametrize("longer", [1, 320, 640, 4000])
def test_text_grows_with_the_picture_and_stays_readable(longer: int) -> None:
    pen = Pen.for_picture(np.zeros((longer, 1, 3), np.uint8))
    assert pen.height >= 13
    assert pen.height >= longer / 60
    assert Pen.for_picture(np.zeros((longer, 1, 3), np.uint8), 1.4).height > pen.height


def test_text_without_room_is_cut() -> None:
    pen = Pen.for_picture(np.zeros((480, 640, 3), np.uint8))
    text = "a label of many words"
    assert pen.fitting(text, pen.width(text)) == text
    cut = pen.fitting(text, pen.width(text) // 2)
    assert text.startswith(cut.removesuffix("..."))
    assert cut.endswith("...")
    assert pen.width(cut) <= pen.width(text) // 2
    assert pen.fitting(text, 3) == ""
