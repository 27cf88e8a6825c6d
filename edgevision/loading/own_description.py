"""The description that EdgeVision wrote into an artifact."""

from __future__ import annotations

from collections.abc import Iterator

from edgevision.artifact import Artifact
from edgevision.backend import Backend
from edgevision.description import ModelDescription, SelfDescribingFormat
from edgevision.plugins import Registry


def own_description(
    artifact: Artifact, plugins: Registry, runner: Backend | None = None
) -> ModelDescription | None:
    """The description that EdgeVision wrote into an artifact; `None` if it wrote none.

    Args:
        artifact: of any format.
        plugins: the backends read it.
        runner: the backend that runs it; where the format is its own, no other is loaded.

    Raises:
        ArtifactError: the artifact or its description is damaged.
    """
    for backend in _backends(runner, plugins):
        if artifact.format in backend.formats[:1] and isinstance(backend, SelfDescribingFormat):
            return backend.read_description(artifact)
    return None


def _backends(runner: Backend | None, plugins: Registry) -> Iterator[Backend]:
    if runner is not None:
        yield runner
    yield from plugins.backends().values()
