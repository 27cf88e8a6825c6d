"""Deliberate mistakes of converters: the contract names each; a sound converter passes."""

from __future__ import annotations

import pytest
from converter_mistakes import MISTAKES, LinearSource, Runtime, SoundConverter, calibration

from edgevision.testing import check_converter


def test_a_sound_converter_passes() -> None:
    check_converter(SoundConverter(), LinearSource(), calibration(), Runtime())


def test_the_table_has_the_mistakes_of_the_issue() -> None:
    assert len(MISTAKES) >= 16


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    converter, words = MISTAKES[name]
    with pytest.raises(AssertionError, match=words):
        check_converter(converter(), LinearSource(), calibration(), Runtime())
