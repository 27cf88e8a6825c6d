"""When a plugin is tried again: after a change to a checkout, after an installation of what pip copied."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgevision.plugins.provider import provider_of
from edgevision.plugins.trial import trial_of
from edgevision.system.entry_points import Distribution, TextEntryPoint

HOOK = "from edgevision import hookimpl\n\n@hookimpl\ndef edgevision_{0}():\n    return []\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a hook, whose other modules the trial does not import; nothing is kept of it yet."""
    folder = tmp_path / "site" / "tried_plugin"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(HOOK.format("backends"))
    (folder / "other.py").write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "tried_plugin", raising=False)
    return folder


def _trials(package: Path) -> int:
    """The number of trials that were held so far, and one more if the plugin changed."""
    point = TextEntryPoint("tried", "tried_plugin", Distribution("Tried_plugin", "1.0"))
    assert trial_of(point, provider_of(point)).fault == ""
    return len(list((package.parents[1] / "cache" / "plugins").iterdir()))


def test_a_checkout_is_tried_after_a_change_to_any_module(package: Path) -> None:
    assert _trials(package) == 1
    assert _trials(package) == 1
    (package / "other.py").write_text("raise RuntimeError\n")
    assert _trials(package) == 2


def test_what_pip_copied_is_tried_after_an_installation_and_a_change_to_its_entry_module(
    package: Path,
) -> None:
    record = package.parent / "tried_plugin-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("tried_plugin/__init__.py,,\n")
    assert _trials(package) == 1
    (package / "other.py").write_text("# who debugs in site-packages imports it again in any case\n")
    assert _trials(package) == 1
    record.write_text("tried_plugin/__init__.py,,\ntried_plugin/other.py,,\n")
    assert _trials(package) == 2
    (package / "__init__.py").write_text(HOOK.format("targets"))
    point = TextEntryPoint("tried", "tried_plugin", Distribution("Tried_plugin", "1.0"))
    assert trial_of(point, provider_of(point)).hooks == ("edgevision_targets",)
