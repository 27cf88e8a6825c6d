"""The manifest of a bundle, as values and as JSON.

``edgevision/schemas/manifest.schema.json`` describes the JSON for other programs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any

from edgevision.bundle.layout import MANIFEST, SIGNATURE
from edgevision.bundle.provenance import Provenance, provenance_from
from edgevision.errors import BundleError, EdgeVisionError, first_line
from edgevision.imaging.gate import InputGate, input_gate_from
from edgevision.imaging.preprocess import Preprocessing
from edgevision.system.schema_version import newer_schema
from edgevision.system.shown import shown
from edgevision.system.strict_json import JsonError, read_json
from edgevision.tasks.description import Task, task_from_dict, task_to_dict
from edgevision.tasks.kind import task_kinds
from edgevision.tasks.score_calibration import ScoreCalibration, score_calibration_from
from edgevision.tensors import Quantization, TensorSpec

#: 1: without a digest of its own.
SCHEMA_VERSION = 2

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_BYTES = 1 << 40
_MOST_SIZE = 1 << 31


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
        provenance: how this bundle came to be: its conversion, or how it was packed from another, whose
            conversion is in the evidence; `None` in those of earlier releases.
        input_gate: limits beyond which a frame is not answered, which `edgevision.set_gate` sets; `None` for
            none.
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
    provenance: Provenance | None = None
    input_gate: InputGate | None = None

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
    if manifest.input_gate is not None:
        document["input_gate"] = manifest.input_gate.to_dict()
    for name in ("pictures", "provenance", "input_gate"):
        if document[name] is None:
            del document[name]
    for entry in document["artifacts"]:
        for name in ("compiled_from", "unproved"):
            if entry[name] is None:
                del entry[name]
    text = json.dumps(document, allow_nan=False)
    return json.dumps({**document, "digest": digest_of(json.loads(text))}, indent=2, allow_nan=False) + "\n"


def digest_of(document: Mapping[str, Any]) -> str:
    """The digest of a whole bundle: it covers every file, since a manifest lists their digests and sizes.

    sha256, in hex, of the manifest without its field ``digest`` as canonical JSON: UTF-8, keys sorted by code
    point, no white space, no escapes but those that JSON requires, numbers as Python's ``repr`` has them.
    """
    import hashlib  # not at the top: it loads OpenSSL

    rest = {name: value for name, value in document.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def from_json(text: str | bytes, where: str) -> Manifest:
    """Read the text of a ``manifest.json``; see `read_manifest`."""
    return read_manifest(text, where)[0]


def read_manifest(text: str | bytes, where: str) -> tuple[Manifest, str]:
    """The manifest in the text of a ``manifest.json``, and the digest of its bundle.

    Args:
        text: the JSON.
        where: the file's name, for errors.

    Raises:
        BundleError: it is not strict JSON, its schema version is unknown, a field is missing, unknown or
            wrong, or it is not the manifest that its digest was computed of.
    """
    try:
        document = read_json(text)
    except JsonError as error:
        raise BundleError(f"{where}: is not valid JSON: {error}") from error
    reader = _Fields(document, where)
    version = reader.get("schema_version", int)
    if version > SCHEMA_VERSION:
        raise BundleError(newer_schema(where, version, SCHEMA_VERSION, document.get("versions")))
    if version < 1:
        raise BundleError(f"{where}: schema version {version}, expected 1 to {SCHEMA_VERSION}; convert again")
    try:
        manifest = _manifest(reader)
    except BundleError:
        raise
    except EdgeVisionError as error:
        raise BundleError(str(error)) from error
    except Exception as error:  # one interface for whatever a value leads to
        raise BundleError(f"{where}: cannot be used: {type(error).__name__}: {first_line(error)}") from error
    digest = digest_of(document)
    if version > 1 and reader.get("digest", str) != digest:
        raise BundleError(
            f"{where}: was changed after it was written: its digest is {digest[:12]}…, and it states "
            f"{document['digest']:.12}…; copy the bundle again, or convert again"
        )
    return manifest, digest


def _manifest(reader: _Fields) -> Manifest:
    reader.check_known(["schema_version", *(each.name for each in dataclass_fields(Manifest)), "digest"])
    source = reader.child("source")
    source.check_known([each.name for each in dataclass_fields(SourceEntry)])
    versions = reader.get("versions", dict)
    if not all(isinstance(value, str) for value in versions.values()):
        raise BundleError(f"{reader.where}: field 'versions': expected names and texts, got {versions!r:.80}")
    manifest = Manifest(
        created=reader.get("created", str),
        task=_task(reader),
        preprocessing=_preprocessing(reader),
        source=SourceEntry(
            source.get("name", str), source.get("description", str), source.get("sha256", str)
        ),
        artifacts=tuple(_artifact(entry) for entry in reader.children("artifacts")),
        labels=_file(reader.child("labels")),
        selftest=_file(reader.child("selftest")),
        evidence=_file(reader.child("evidence")),
        versions=versions,
        pictures=_file(reader.child("pictures")) if "pictures" in reader.document else None,
        provenance=_provenance(reader),
        input_gate=_input_gate(reader),
    )
    if not manifest.artifacts:
        raise BundleError(f"{reader.where}: artifacts: expected one or more, got none")
    # Two artifacts may share a file, which then is one file.
    for what, names in (
        ("artifact", [entry.id for entry in manifest.artifacts]),
        ("file", [entry.path for entry in set(manifest.files())]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise BundleError(f"{reader.where}: lists {what} '{twice}' twice, which contradict each other")
    return manifest


def _task(fields: _Fields) -> Task:
    document, where = fields.get("task", dict), f"{fields.where}: task"
    name, provenance = document.get("name"), _provenance(fields)
    if name not in task_kinds():
        for record in () if provenance is None else provenance.plugins:
            if (record.role, record.name) == ("task", name) and record.install_command:
                raise BundleError(f"{where}: '{name}' is not installed; run: {record.install_command}")
    return task_from_dict(document, where)


def _provenance(fields: _Fields) -> Provenance | None:
    try:
        return provenance_from(fields.document.get("provenance"))
    except ValueError as error:
        raise BundleError(f"{fields.where}: provenance: {error}") from error


def _input_gate(fields: _Fields) -> InputGate | None:
    try:
        return input_gate_from(fields.document.get("input_gate"))
    except EdgeVisionError as error:
        raise BundleError(f"{fields.where}: input_gate: {error}") from error


def _preprocessing(fields: _Fields) -> Preprocessing | None:
    document = fields.get("preprocessing", (dict, type(None)))
    where = f"{fields.where}: preprocessing"
    return None if document is None else Preprocessing.from_dict(document, where)


def _artifact(fields: _Fields) -> ArtifactEntry:
    # A field that is passed over may be what makes the scores right.
    fields.check_known([each.name for each in dataclass_fields(ArtifactEntry)])
    return ArtifactEntry(
        id=_artifact_id(fields),
        format=fields.get("format", str),
        precision=fields.get("precision", str),
        files=_artifact_files(fields),
        inputs=tuple(_tensor(entry) for entry in fields.children("inputs")),
        outputs=tuple(_tensor(entry) for entry in fields.children("outputs")),
        targets=fields.words("targets"),
        backends=fields.words("backends"),
        score_calibration=_score_calibration(fields),
        compiled_from=fields.optional_text("compiled_from"),
        unproved=fields.optional_text("unproved"),
    )


def _artifact_id(fields: _Fields) -> str:
    name: str = fields.get("id", str)
    if not name or "/" in name or _CONTROL.search(name):
        raise BundleError(f"{fields.where}: field 'id': expected a name, got {name!r:.80}")
    return name


def _artifact_files(fields: _Fields) -> tuple[FileEntry, ...]:
    files = tuple(_file(entry) for entry in fields.children("files"))
    if not files:
        raise BundleError(f"{fields.where}: field 'files': expected one or more, got none")
    return files


def _score_calibration(fields: _Fields) -> ScoreCalibration | None:
    """Bundles of releases without score calibration do not have the field."""
    try:
        return score_calibration_from(fields.document.get("score_calibration"))
    except EdgeVisionError as error:
        raise BundleError(f"{fields.where}: score_calibration: {error}") from error


def _file(fields: _Fields) -> FileEntry:
    fields.check_known([each.name for each in dataclass_fields(FileEntry)])
    entry = FileEntry(fields.get("path", str), fields.get("sha256", str), fields.get("size_bytes", int))
    parts = entry.path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in entry.path or ":" in parts[0]:
        raise BundleError(f"{fields.where}: file '{entry.path:.200}' lies outside the bundle")
    if _CONTROL.search(entry.path) or entry.path in (MANIFEST, SIGNATURE):
        raise BundleError(f"{fields.where}: field 'path': no file of a bundle is called {entry.path!r:.200}")
    if not _SHA256.fullmatch(entry.sha256):
        raise BundleError(f"{fields.where}: field 'sha256': expected 64 hex digits, got {entry.sha256!r:.80}")
    if not 0 <= entry.size_bytes <= _MOST_BYTES:
        raise BundleError(f"{fields.where}: field 'size_bytes': unexpected {entry.size_bytes}")
    return entry


def _tensor(fields: _Fields) -> TensorSpec:
    fields.check_known([each.name for each in dataclass_fields(TensorSpec)])
    shape = fields.get("shape", list)
    if not all(size is None or (type(size) is int and 0 < size < _MOST_SIZE) for size in shape):
        raise BundleError(
            f"{fields.where}.shape: expected sizes above 0, or null for an open batch, got {shape!r:.200}"
        )
    quantization = None
    if fields.document.get("quantization") is not None:
        pair = fields.child("quantization")
        pair.check_known([each.name for each in dataclass_fields(Quantization)])
        scale, zero_point = float(pair.get("scale", (int, float))), pair.get("zero_point", int)
        if not (0 < scale < math.inf and abs(zero_point) < _MOST_SIZE):
            raise BundleError(f"{pair.where}: expected a scale above 0 and a zero point, got {pair.document}")
        quantization = Quantization(scale, zero_point)
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
