"""The metadata of a bare artifact: read by the backend whose format it is, and obeyed or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription, Backend, DescribingBackend
from edgevision.decoder import extra_tasks
from edgevision.errors import OptionError
from edgevision.plugins import Registry

if TYPE_CHECKING:
    from edgevision.loading.bare import BareModel

#: Tasks of bare files.
_TASKS = ("classify", "detect")

#: Field of the metadata -> the option that overrides it, and whether the caller passed it.
_OVERRIDES: dict[str, tuple[str, Callable[[BareModel], bool]]] = {
    "values": (
        "--input-range LOW..HIGH",
        lambda bare: bare.image.value_range is not None or bare.image.applications is not None,
    ),
    "color": (
        "--color rgb, bgr or gray",
        lambda bare: bare.image.color is not None or bare.image.applications is not None,
    ),
    "resize": ("--resize stretch, letterbox or center-crop", lambda bare: bare.image.resize is not None),
    "interpolation": (
        "--interpolation nearest, bilinear or area",
        lambda bare: bare.image.interpolation is not None,
    ),
    "size": ("--input-size WIDTHxHEIGHT", lambda bare: bare.image.size_wh is not None),
    "labels": ("--labels FILE", lambda bare: bare.labels is not None),
    "scores": ("--scores softmax, sigmoid or logits", lambda bare: bare.score_kind is not None),
    "decoder": ("--decoder NAME", lambda bare: bare.decoder is not None),
    "kind": (
        "--decoder NAME for a detector, --scores KIND for a classifier",
        lambda bare: bare.decoder is not None or bare.score_kind is not None,
    ),
}


def describe_artifact(artifact: Artifact, runner: Backend, plugins: Registry) -> ArtifactDescription:
    """The artifact's own metadata, read by the backend that runs it, else by any whose own format it is.

    Raises:
        ArtifactError: the artifact is damaged.
    """
    for backend in _starting_with(runner, plugins):
        if artifact.format in backend.formats[:1] and isinstance(backend, DescribingBackend):
            return backend.describe(artifact)
    return ArtifactDescription()


def check_metadata(path: Path, metadata: ArtifactDescription, bare: BareModel, plugins: Registry) -> None:
    """Refuse an artifact of another task, or with a statement that is not supported and not overridden.

    Raises:
        OptionError: there is one; names it and the option that overrides it.
    """
    task = metadata.task
    if task is not None and task not in _TASKS and not _is_read(task, bare, plugins):
        raise OptionError(
            f"{path}: its metadata says that it is a model for the task '{task}'; EdgeVision runs bare files "
            f"for the tasks {' and '.join(_TASKS)}, and would take its outputs for something else"
        )
    for statement in metadata.unsupported:
        option, is_overridden = _OVERRIDES.get(statement.field, ("", lambda bare: False))
        if not is_overridden(bare):
            step = f"; pass {option}" if option else ""
            raise OptionError(f"{path}: {statement.said}: not supported: {statement.reason}{step}")


def _is_read(task: str, bare: BareModel, plugins: Registry) -> bool:
    """True if the decoder that the caller names reads networks of this task."""
    return bare.decoder is not None and task in extra_tasks(plugins.decoder(bare.decoder))


def _starting_with(runner: Backend, plugins: Registry) -> Iterator[Backend]:
    yield runner
    yield from plugins.backends().values()
