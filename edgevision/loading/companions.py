"""A bare artifact with every file that belongs to it, read into memory before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edgevision.artifact import Artifact, FileFormat, read_artifact
from edgevision.backend import Backend, Companion, CompanionBackend
from edgevision.bundle.layout import TRUST_VARIABLE
from edgevision.errors import ArtifactError
from edgevision.loading.choice import backends_of_format
from edgevision.plugins import Registry
from edgevision.system.reading import MOST_MODEL_BYTES, read_file


def read_with_companions(
    path: Path, formats: Sequence[FileFormat], plugins: Registry, backend: str | None = None
) -> Artifact:
    """Read a bare artifact and the files beside it that belong to it.

    What runs is what is read here: no runtime opens a file of its own.

    Args:
        path: the artifact's first file.
        formats: as for `edgevision.artifact.read_artifact`.
        plugins: the backends say which files belong to it.
        backend: name of the backend that was asked for; where the format is its own, no other is loaded.

    Raises:
        OptionError: the suffix is not that of an artifact.
        ArtifactError: a file is missing, lies outside the artifact's folder, or cannot be read.
        TrustError: the machine has a trust policy.
    """
    if TRUST_VARIABLE in os.environ:
        from edgevision.bundle.trust import refuse_bare_file

        refuse_bare_file(path)
    artifact = read_artifact(path, formats)
    files = dict(artifact.files)
    for companion in _companions(artifact, plugins, backend):
        if companion.name not in files:
            content = _read(path, companion)
            if content is not None:
                files[companion.name] = content
    return replace(artifact, files=files)


def _companions(artifact: Artifact, plugins: Registry, asked_for: str | None) -> Iterator[Companion]:
    for backend in _loading(artifact.format, plugins, asked_for):
        if isinstance(backend, CompanionBackend):
            yield from backend.companions(artifact)
            return


def _loading(artifact_format: str, plugins: Registry, asked_for: str | None) -> list[Backend]:
    """The backends that load a format, those whose own it is in front; the one asked for alone, if it is."""
    if asked_for is not None:
        own = plugins.backend(asked_for)
        if artifact_format in own.formats[:1]:
            return [own]
    return [plugins.backend(name) for name in backends_of_format(artifact_format, plugins)]


def _read(path: Path, companion: Companion) -> bytes | None:
    """The content of a file beside the artifact; `None` if an optional one is missing."""
    file = path.parent / companion.name
    if not companion.required and not file.exists():
        return None
    _check_inside(path, file)
    if companion.alone:
        _check_alone(path, file)
    try:
        return read_file(file, MOST_MODEL_BYTES)
    except OSError as error:
        raise ArtifactError(
            f"{file}: belongs to {path.name}, and cannot be read: {error.strerror or error}; "
            "copy it beside the model"
        ) from error


def _check_inside(path: Path, file: Path) -> None:
    """Refuse a file outside the artifact's folder, also by a link.

    A cache that keeps its files elsewhere under other names, with links to them, keeps them together.
    """
    real = file.resolve()
    if not any(real.is_relative_to(folder) for folder in (path.parent.resolve(), path.resolve().parent)):
        raise ArtifactError(
            f"{file}: belongs to {path.name}, and leads out of its folder to {real}; "
            "copy the file itself beside the model"
        )


def _check_alone(path: Path, file: Path) -> None:
    others = sorted(other.name for other in path.parent.glob(f"*{path.suffix}") if other.name != path.name)
    if others:
        raise ArtifactError(
            f"{file}: belongs to one of several models in its folder ({path.name}, {', '.join(others[:3])}); "
            "move each model into a folder of its own, with its files"
        )
