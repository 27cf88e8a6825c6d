"""The description of its model that EdgeVision writes into an artifact, and reads from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.artifact import Artifact
from edgevision.backend import Backend
from edgevision.plugins import Registry

if TYPE_CHECKING:  # most bare files have none
    from edgevision.description import DescribedArtifact, ModelDescription


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
    for backend in plugins.backends_owning(artifact.format, runner):
        # A `SelfDescribingFormat`, whose module waits for an artifact that has a description.
        if hasattr(backend, "read_description"):
            found: ModelDescription | None = backend.read_description(artifact)
            return found
    return None


def with_own_description(
    artifact: Artifact, description: ModelDescription, plugins: Registry
) -> DescribedArtifact | None:
    """The artifact with a description in it; `None` if no backend writes them into its format.

    Raises:
        ArtifactError: the artifact is damaged.
        MissingRuntimeError: a library that writes the format is not installed.
    """
    from edgevision.description import SelfDescribingFormat

    for backend in plugins.backends_owning(artifact.format):
        if isinstance(backend, SelfDescribingFormat):
            return backend.write_description(artifact, description)
    return None
