"""A hidden module looks absent until the block ends."""

from __future__ import annotations

import sys

import pytest

from edgevision.system.hidden_module import hidden_module


@pytest.mark.parametrize("name", ["wave", "no_such_module"])
def test_a_hidden_module_cannot_be_imported(name: str) -> None:
    sys.modules.pop(name, None)
    with hidden_module(name), pytest.raises(ModuleNotFoundError):
        __import__(name)
    assert name not in sys.modules


def test_a_module_that_was_imported_before_is_back_afterwards_even_after_an_error() -> None:
    import wave

    with pytest.raises(KeyError), hidden_module("wave"):
        raise KeyError("wave")
    assert sys.modules["wave"] is wave


def test_a_module_hidden_before_stays_hidden() -> None:
    with hidden_module("wave"):
        with hidden_module("wave"):
            pass
        with pytest.raises(ModuleNotFoundError):
            __import__("wave")
