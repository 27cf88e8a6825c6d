"""The libraries that convert load no more than a conversion needs."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest
from keras_sources import MARKS

pytestmark = MARKS


@pytest.mark.parametrize("is_member", [True, False])
def test_what_keras_imports_for_training_alone_is_left_out_where_none_of_the_callers_code_runs(
    monkeypatch: pytest.MonkeyPatch, is_member: bool
) -> None:
    """They take a third of its import; in the caller's own process it must be able to train."""
    from edgevision_keras import libraries

    tables, found = object(), []

    def imported(name: str) -> SimpleNamespace:
        found.append((name, sys.modules["pandas"], sys.modules["sklearn"]))
        return SimpleNamespace(
            get_logger=lambda: logging.getLogger("tensorflow"),
            config=SimpleNamespace(set_visible_devices=lambda *_: None),
        )

    for module in ("pandas", "sklearn"):
        monkeypatch.setitem(sys.modules, module, tables)  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(libraries.importlib, "import_module", imported)
    monkeypatch.setattr(libraries, "is_member", lambda: is_member)
    libraries.require_tensorflow()
    expected = None if is_member else tables
    assert found == [("tensorflow", expected, expected)]
    assert sys.modules["pandas"] is sys.modules["sklearn"] is tables
