"""The metadata of a bare artifact: read by the backend whose format it is, and obeyed or refused."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription, Backend, DescribingBackend
from edgevision.errors import ArtifactError, EdgeVisionError, OptionError, first_line
from edgevision.plugins import Registry

if TYPE_CHECKING:
    from edgevision.decoder import Decoder

#: Tasks of bare files.
_TASKS = ("classify", "detect")

#: Field of the metadata -> the option that overrides it.
_OPTIONS = {
    "values": "--input-range LOW..HIGH",
    "color": "--color rgb, bgr or gray",
    "resize": "--resize stretch, letterbox, corner-letterbox or center-crop",
    "interpolation": "--interpolation nearest, bilinear or area",
    "size": "--input-size WIDTHxHEIGHT",
    "labels": "--labels FILE",
    "scores": "--scores softmax, sigmoid or logits",
    "decoder": "--decoder NAME",
    "kind": "--decoder NAME for a detector, --scores KIND for a classifier",
}


def describe_artifact(artifact: Artifact, runner: Backend, plugins: Registry) -> ArtifactDescription:
    """The artifact's own metadata, read by the backend that runs it, else by any whose own format it is.

    Raises:
        ArtifactError: the artifact is damaged.
    """
    for backend in plugins.backends_owning(artifact.format, runner):
        if isinstance(backend, DescribingBackend):
            return _described(artifact, backend)
    return ArtifactDescription()


def _described(artifact: Artifact, backend: DescribingBackend) -> ArtifactDescription:
    """The metadata; whatever else the backend raises is an error that names the file."""
    try:
        return backend.describe(artifact)
    except EdgeVisionError:
        raise
    except Exception as error:  # of a third party's plugin
        raise ArtifactError(
            f"{artifact.name}: its metadata cannot be read: {type(error).__name__}: {first_line(error)}"
        ) from error


def check_metadata(
    path: Path,
    metadata: ArtifactDescription,
    stated: Container[str],
    decoder: Decoder | None,
    stated_task: str | None = None,
) -> None:
    """Refuse an artifact of another task, or with a statement that is not supported and not overridden.

    Args:
        path: the artifact, for errors.
        metadata: its metadata.
        stated: the fields that the caller states, as in `UnsupportedMetadata.field`.
        decoder: the decoder that the caller names, if any.
        stated_task: the task that the caller names, if any.

    Raises:
        OptionError: there is one; names it and the option that overrides it.
    """
    task = metadata.task
    if task is not None and task not in _TASKS and stated_task is None and not _reads(decoder, task):
        raise OptionError(
            f"{path}: its metadata says that it is a model for the task '{task}'; EdgeVision runs bare files "
            f"for the tasks {' and '.join(_TASKS)}, and would take its outputs for something else; "
            f"export a model for one of these tasks"
        )
    for statement in metadata.unsupported:
        if statement.field not in stated:
            option = _OPTIONS.get(statement.field)
            step = "" if option is None else f"; pass {option}"
            raise OptionError(f"{path}: {statement.said}: not supported: {statement.reason}{step}")


def _reads(decoder: Decoder | None, task: str) -> bool:
    """True if the caller names a decoder that says it reads the outputs of such a task."""
    if decoder is None:
        return False
    from edgevision.decoder import extra_tasks

    return task in extra_tasks(decoder)
