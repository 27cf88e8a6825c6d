"""The description that EdgeVision wrote into an artifact."""

from __future__ import annotations

from edgevision.artifact import Artifact
from edgevision.description import ModelDescription, SelfDescribingFormat
from edgevision.plugins import Registry


def own_description(artifact: Artifact, plugins: Registry) -> ModelDescription | None:
    """The description that EdgeVision wrote into an artifact; `None` if it wrote none.

    Raises:
        ArtifactError: the artifact or its description is damaged.
    """
    for backend in plugins.backends().values():
        if artifact.format in backend.formats[:1] and isinstance(backend, SelfDescribingFormat):
            return backend.read_description(artifact)
    return None
