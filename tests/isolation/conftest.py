"""The faulty plugin, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty import artifact, install

from edgevision.backend import SessionSettings
from edgevision.isolation.session import open_isolated
from edgevision.isolation.settings import Isolation
from edgevision.plugins import registry
from edgevision.session import CheckedSession

Open = Callable[..., CheckedSession]


@pytest.fixture(scope="module")
def faulty_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the plugin, which this process and its children have."""
    with pytest.MonkeyPatch.context() as patch:
        folder = install(tmp_path_factory.mktemp("faulty"))
        patch.syspath_prepend(folder)
        registry.cache_clear()
        yield folder
    registry.cache_clear()


@pytest.fixture
def opened(faulty_plugin: Path) -> Iterator[Open]:
    """Open isolated sessions of the faulty backend, which are closed after the test."""
    sessions: list[CheckedSession] = []

    def open_(options: dict[str, str] | None = None, **limits: object) -> CheckedSession:
        settings = SessionSettings(options=options or {})
        isolation = Isolation(**{"most_restarts": 1000, **limits})  # type: ignore[arg-type]
        backend = registry().backend("faulty")
        sessions.append(open_isolated(backend, artifact(), settings, isolation))
        return sessions[-1]

    yield open_
    for session in sessions:
        session.close()
