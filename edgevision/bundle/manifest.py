"""The manifest of a bundle, as values and as JSON.

``edgevision/schemas/manifest.schema.json`` describes the JSON for other programs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any

from edgevision.errors import BundleError, OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.system.shown import shown
from edgevision.tasks.description import Task, task_from_dict, task_to_dict
from edgevision.tasks.score_calibration import ScoreCalibration, score_calibration_from
from edgevision.tensors import Quantization, TensorSpec

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle.

    Attributes:
        path: relative to the bundle, with forward slashes.
        sha256: digest of the content, in hex.
        size_bytes: size of the content.
    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class ArtifactEntry:
    """An artifact of the bundle, and the backends on which it was measured.

    Attributes:
        id: unique in the bundle: format and precision, such as ``tflite-int8``.
        format, precision: as in `edgevision.artifact.Artifact`.
        files: the artifact's files, the one that names it first.
        inputs, outputs: its tensors.
        targets: names of the device profiles that it was converted for.
        backends: names of the backends that it was converted for or measured on, in the order in which
            `edgevision.load` tries them.
        score_calibration: correction of a classifier's scores, and its operating point; `None` for none.
        compiled_from: digest of the artifact that this one was compiled from, elsewhere; `None` if it is as
            it was converted. The evidence is of that one.
        unproved: why the known answers of an artifact that was compiled elsewhere were not checked on its
            device; `None` if they were. They are checked before it is used.
    """

    id: str
    format: str
    precision: str
    files: tuple[FileEntry, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    targets: tuple[str, ...]
    backends: tuple[str, ...]
    score_calibration: ScoreCalibration | None = None
    compiled_from: str | None = None
    unproved: str | None = None


@dataclass(frozen=True)
class SourceEntry:
    """The trained model that was converted: its file name, its kind, and the digest of its content."""

    name: str
    description: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The description of a bundle and its files.

    Attributes:
        created: time of the conversion, UTC, ISO 8601.
        task: the network's task.
        preprocessing: from an image to the source's input; an artifact's tensors define the
            quantization from there. `None` for a network that takes no image.
        source: the trained model.
        artifacts: in the order of preference.
        labels, selftest, evidence: the other files.
        versions: tool -> version, of the tools that wrote the bundle.
        pictures: images on which artifacts and source differ, for the report; `None` where none are kept.
    """

    created: str
    task: Task
    preprocessing: Preprocessing | None
    source: SourceEntry
    artifacts: tuple[ArtifactEntry, ...]
    labels: FileEntry
    selftest: FileEntry
    evidence: FileEntry
    versions: Mapping[str, str] = field(default_factory=dict)
    pictures: FileEntry | None = None

    def files(self) -> list[FileEntry]:
        """Every file of the bundle but the manifest itself."""
        own = [self.labels, self.selftest, self.evidence]
        own += [] if self.pictures is None else [self.pictures]
        return [entry for artifact in self.artifacts for entry in artifact.files] + own


def to_json(manifest: Manifest) -> str:
    """The text of ``manifest.json``, the same for the same manifest."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(manifest)}
    document["task"] = task_to_dict(manifest.task)
    if manifest.preprocessing is not None:
        document["preprocessing"] = manifest.preprocessing.to_dict()
    if manifest.pictures is None:
        del document["pictures"]
    for entry in document["artifacts"]:
        for name in ("compiled_from", "unproved"):
            if entry[name] is None:
                del entry[name]
    return json.dumps(document, indent=2, sort_keys=False, allow_nan=False) + "\n"


def from_json(text: str, where: str) -> Manifest:
    """Read the text of a ``manifest.json``.

    Args:
        text: the JSON.
        where: the file's name, for errors.

    Raises:
        BundleError: it is not valid JSON, its schema version is unknown, or a field is missing or wrong.
    """
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BundleError(f"{where}: is not valid JSON: {error}") from error
    reader = _Fields(document, where)
    version = reader.get("schema_version", int)
    if version != SCHEMA_VERSION:
        raise BundleError(
            f"{where}: schema version {version}, this release reads {SCHEMA_VERSION}; "
            f"install a release that reads it, or convert again"
        )
    try:
        preprocessing = _preprocessing(reader)
        task = task_from_dict(reader.get("task", dict), f"{where}: task")
    except OptionError as error:
        raise BundleError(str(error)) from error
    source = reader.child("source")
    manifest = Manifest(
        created=reader.get("created", str),
        task=task,
        preprocessing=preprocessing,
        source=SourceEntry(
            source.get("name", str), source.get("description", str), source.get("sha256", str)
        ),
        artifacts=tuple(_artifact(entry) for entry in reader.children("artifacts")),
        labels=_file(reader.child("labels")),
        selftest=_file(reader.child("selftest")),
        evidence=_file(reader.child("evidence")),
        versions=reader.get("versions", dict),
        pictures=_file(reader.child("pictures")) if "pictures" in reader.document else None,
    )
    if not manifest.artifacts:
        raise BundleError(f"{where}: artifacts: expected one or more, got none")
    return manifest


def _preprocessing(fields: _Fields) -> Preprocessing | None:
    document = fields.get("preprocessing", (dict, type(None)))
    where = f"{fields.where}: preprocessing"
    return None if document is None else Preprocessing.from_dict(document, where)


def _artifact(fields: _Fields) -> ArtifactEntry:
    # A field that is passed over may be what makes the scores right.
    fields.check_known([each.name for each in dataclass_fields(ArtifactEntry)])
    return ArtifactEntry(
        id=fields.get("id", str),
        format=fields.get("format", str),
        precision=fields.get("precision", str),
        files=tuple(_file(entry) for entry in fields.children("files")),
        inputs=tuple(_tensor(entry) for entry in fields.children("inputs")),
        outputs=tuple(_tensor(entry) for entry in fields.children("outputs")),
        targets=fields.words("targets"),
        backends=fields.words("backends"),
        score_calibration=_score_calibration(fields),
        compiled_from=fields.optional_text("compiled_from"),
        unproved=fields.optional_text("unproved"),
    )


def _score_calibration(fields: _Fields) -> ScoreCalibration | None:
    """Bundles of releases without score calibration do not have the field."""
    try:
        return score_calibration_from(fields.document.get("score_calibration"))
    except OptionError as error:
        raise BundleError(f"{fields.where}: score_calibration: {error}") from error


def _file(fields: _Fields) -> FileEntry:
    return FileEntry(fields.get("path", str), fields.get("sha256", str), fields.get("size_bytes", int))


def _tensor(fields: _Fields) -> TensorSpec:
    shape = fields.get("shape", list)
    if not all(size is None or (isinstance(size, int) and size > 0) for size in shape):
        raise BundleError(
            f"{fields.where}.shape: expected sizes above 0, or null for an open batch, got {shape}"
        )
    quantization = None
    if fields.document.get("quantization") is not None:
        pair = fields.child("quantization")
        quantization = Quantization(float(pair.get("scale", (int, float))), pair.get("zero_point", int))
    return TensorSpec(fields.get("name", str), tuple(shape), fields.get("dtype", str), quantization)


class _Fields:
    """A JSON object whose fields are read with their type checked; errors name the field."""

    def __init__(self, document: Any, where: str) -> None:
        if not isinstance(document, dict):
            raise BundleError(f"{where}: expected an object, got {type(document).__name__}")
        self.document: dict[str, Any] = document
        self.where = where

    def get(self, name: str, kind: type[Any] | tuple[type[Any], ...]) -> Any:
        if name not in self.document:
            raise BundleError(f"{self.where}: field '{name}' is missing")
        value = self.document[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise BundleError(f"{self.where}: field '{name}': unexpected {shown(value)}")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.get(name, str) if name in self.document else None

    def check_known(self, names: Sequence[str]) -> None:
        for name in self.document:
            if name not in names:
                raise BundleError(
                    f"{self.where}: unknown field '{name}'; known fields: {', '.join(names)}; "
                    f"install a release that reads it, or convert again"
                )

    def words(self, name: str) -> tuple[str, ...]:
        values = self.get(name, list)
        if not all(isinstance(value, str) for value in values):
            raise BundleError(f"{self.where}: field '{name}': expected a list of names, got {shown(values)}")
        return tuple(values)

    def child(self, name: str) -> _Fields:
        return _Fields(self.get(name, dict), f"{self.where}: {name}")

    def children(self, name: str) -> list[_Fields]:
        return [
            _Fields(item, f"{self.where}: {name}[{position}]")
            for position, item in enumerate(self.get(name, list))
        ]
