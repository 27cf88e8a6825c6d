"""Deliberate mistakes of backends: the contract names each; a sound backend passes."""

from __future__ import annotations

import backend_mistakes
import pytest
from backend_mistakes import ARTIFACT, INPUTS, MISTAKES, OUTPUTS, Sound

from edgevision.testing import check_backend


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.testing.children.SECONDS", 8.0)


def test_a_sound_backend_passes() -> None:
    check_backend(Sound(), ARTIFACT, INPUTS, outputs=OUTPUTS)


def test_the_table_has_the_mistakes_of_the_issue() -> None:
    assert len(MISTAKES) >= 44
    assert backend_mistakes.Session is not None


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_rule(name: str) -> None:
    backend, words = MISTAKES[name]
    with pytest.raises(AssertionError, match=words):
        check_backend(backend(), ARTIFACT, INPUTS, outputs=OUTPUTS)
