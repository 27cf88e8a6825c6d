"""Opens the artifact that was chosen: in this process, or in one of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.session import CheckedSession, open_session

if TYPE_CHECKING:  # a process that runs the runtime itself imports no isolation
    from edgevision.isolation.settings import Isolation


def open_for(
    isolation: Isolation | None, backend: Backend, artifact: Artifact, settings: SessionSettings
) -> CheckedSession:
    """Open an artifact as `edgevision.session.open_session`, in a process of its own if there is `isolation`.

    Raises:
        EdgeVisionError: as `open_session`, and as `edgevision.isolation.session.open_isolated`.
    """
    if isolation is None:
        return open_session(backend, artifact, settings)
    from edgevision.isolation.session import open_isolated

    return open_isolated(backend, artifact, settings, isolation)
