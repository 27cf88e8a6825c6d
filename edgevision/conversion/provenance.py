"""How a conversion came to be: what it was asked for, by which versions, and digests of all that it read."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevision._version import __version__
from edgevision.bundle.provenance import InputRecord, PluginRecord, Provenance
from edgevision.conversion.sets import ConversionSets
from edgevision.conversion.settings import ConversionRequest
from edgevision.converter import Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError
from edgevision.evidence.records import Evidence
from edgevision.system.distributions import imported_versions
from edgevision.system.folders import entries_below
from edgevision.system.private_paths import base_name, with_texts, without_folders, words_without_folders
from edgevision.system.reading import file_sha256
from edgevision.system.revision import revision

#: Settings that `Provenance` itself has.
_APART = ("author", "command")


def digests_of_inputs(
    request: ConversionRequest, source: Source, sets: ConversionSets
) -> tuple[InputRecord, ...]:
    """Digests of the source, the image sets, and every other file or folder that the request names.

    Raises:
        InputError: a file cannot be read any more.
    """
    return tuple(_inputs(request, source, sets))


def _inputs(request: ConversionRequest, source: Source, sets: ConversionSets) -> Iterator[InputRecord]:
    task = request.settings.task
    yield InputRecord("source", base_name(request.source), source.sha256)
    for role, examples in (("evaluation", sets.evaluation), ("calibration", sets.calibration)):
        if examples is not None:
            yield InputRecord(role, examples.name, examples.digest)
    groups = request.groups if isinstance(request.groups, (str, os.PathLike)) else None
    for role, given in (
        ("labels", task.labels if isinstance(task.labels, Path) else None),
        ("annotations", task.annotations),
        ("truth", task.truth),
        ("groups", groups if groups is not None and Path(groups).is_file() else None),
        *(("targets", path) for path in request.settings.targets_files),
    ):
        if given is not None:
            yield InputRecord(role, base_name(given), _digest_of(Path(given)))


def _digest_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and digests of its files, sorted by name."""
    try:
        if not path.is_dir():
            return file_sha256(path)
        total = hashlib.sha256()
        for file in sorted(Path(entry.path) for _, entry in entries_below(path) if entry.is_file()):
            total.update(f"{file_sha256(file)} {file.relative_to(path).as_posix()}\n".encode())
        return total.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def provenance_of(
    request: ConversionRequest,
    inputs: tuple[InputRecord, ...],
    versions: Mapping[str, str],
    plugins: tuple[PluginRecord, ...],
) -> Provenance:
    """The record of a conversion.

    Args:
        request: what was asked for.
        inputs: digests of what was read.
        versions: library -> version, of those that read and converted the source.
        plugins: those that took part.
    """
    settings = request.settings
    known = set() if settings.record_names else _paths(request)
    groups = request.groups if isinstance(request.groups, (str, os.PathLike)) else None
    stated = {"targets": request.targets, "precisions": request.precisions, "groups": groups}
    return Provenance(
        edgevision=__version__,
        revision=revision(),
        command=words_without_folders(settings.command, known),
        author=settings.author,
        settings={name: _recorded(value) for name, value in {**stated, **_fields(settings)}.items()},
        libraries={**imported_versions(), **versions},
        inputs=inputs,
        plugins=plugins,
    )


def private(evidence: Evidence, request: ConversionRequest) -> Evidence:
    """Evidence without the folders of the files that a request names, and without other absolute paths."""
    reduced: Evidence = with_texts(evidence, without_folders(_paths(request)))
    return reduced


def _paths(request: ConversionRequest) -> set[Path]:
    """The paths that a request names."""
    task = request.settings.task
    given = (
        *(request.source, request.output, request.evaluation, request.calibration, request.groups),
        *(task.labels, task.annotations, task.truth, *request.settings.targets_files),
    )
    known = {Path(each) for each in given if isinstance(each, (str, os.PathLike))}
    return known | {Path(each.name) for each in given if isinstance(each, ImageSet)}


def _fields(settings: Any) -> dict[str, Any]:
    return {each.name: getattr(settings, each.name) for each in fields(settings) if each.name not in _APART}


def _recorded(value: Any) -> Any:
    """A setting as JSON has it: an array by its digest."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"shape": list(value.shape), "dtype": str(value.dtype), "sha256": digest}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _recorded(part) for name, part in _fields(value).items()}
    if isinstance(value, Mapping):
        return {str(name): _recorded(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_recorded(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
