"""Fixtures of the tests of streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgevision import hookimpl
from edgevision.plugins import registry
from streaming.simulated import ScriptedSource


class _Plugin:
    @hookimpl
    def edgevision_frame_sources(self) -> list[ScriptedSource]:
        return [ScriptedSource(None)]  # type: ignore[arg-type]  # only opens what it is given


@pytest.fixture
def scripted() -> Iterator[type[ScriptedSource]]:
    """A kind of source that follows a script, as a plugin provides it."""
    plugin = _Plugin()
    registry().register(plugin, "scripted")
    yield ScriptedSource
    registry().manager.unregister(plugin)
