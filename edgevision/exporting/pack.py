"""pack(): a bundle slimmed for its device, as one file, with artifacts that were compiled elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevision._version import __version__
from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.bundle.answers_on_session import answers_of
from edgevision.bundle.files import files_of
from edgevision.bundle.known_answers import KnownAnswers, check_known_answers, write_known_answers
from edgevision.bundle.layout import EVIDENCE, LABELS, MANIFEST, PICTURES, SELFTEST
from edgevision.bundle.manifest import ArtifactEntry, Manifest
from edgevision.bundle.provenance import InputRecord, Provenance
from edgevision.bundle.storage import (
    Bundle,
    bundle_archive,
    check_output,
    file_entry,
    read_bundle,
    write_bundle,
)
from edgevision.errors import (
    ArtifactError,
    BundleError,
    DeviceError,
    EdgeVisionError,
    OptionError,
    OutputError,
    PluginError,
    ProcessError,
)
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.imaging.gate import InputGate
from edgevision.loading.first_load import check_opens
from edgevision.plugins import Registry, registry
from edgevision.session import open_session
from edgevision.system.arguments import flag, instance, names, one_path, optional_text
from edgevision.system.files import OutputState, check_folder_of, write_file
from edgevision.system.private_paths import base_name, words_without_folders
from edgevision.system.revision import revision
from edgevision.system.shown import shown
from edgevision.tensors import TensorSpec


@dataclass(frozen=True)
class PackSettings:
    """Content of a packed bundle: what is left out, and what replaces it.

    Attributes:
        keep: artifacts to keep: ids, formats or precisions; empty for all.
        drop: artifacts to leave out: ids, formats or precisions.
        pictures: keep the pictures for the report.
        evidence_details: keep the parts of the evidence that only the report shows: confusion matrices,
            changed images, candidates that were tried, and sensitivities.
        replacements: id of an artifact -> file that it was compiled to, elsewhere.
        session: device, threads and options of the sessions that check known answers, such as the delegate
            of an Edge TPU.
        input_gate: limits beyond which frames are not answered, in place of those of the bundle; one without
            limits removes them.
        author: who packs it, for its manifest.
        command: words of the command line that packs it, for its manifest.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    keep: Sequence[str] = ()
    drop: Sequence[str] = ()
    pictures: bool = True
    evidence_details: bool = True
    replacements: Mapping[str, str | Path] | None = None
    session: SessionSettings | None = None
    input_gate: InputGate | None = None
    author: str | None = None
    command: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "author", optional_text(self.author, "author"))
        for name in ("keep", "drop", "command"):
            object.__setattr__(self, name, names(getattr(self, name), name))
        for name in ("pictures", "evidence_details"):
            object.__setattr__(self, name, flag(getattr(self, name), name))
        replacements = {} if self.replacements is None else self.replacements
        if not isinstance(replacements, Mapping):
            raise OptionError(f"replacements: expected a mapping of ids to files, got {shown(replacements)}")
        paths = {str(name): one_path(path, "replacements") for name, path in replacements.items()}
        object.__setattr__(self, "replacements", paths)
        if self.input_gate is not None:
            instance(self.input_gate, InputGate, "input_gate")
        session = SessionSettings() if self.session is None else self.session
        object.__setattr__(self, "session", instance(session, SessionSettings, "session"))


@dataclass(frozen=True)
class Packed:
    """A packed bundle.

    Attributes:
        path: the bundle.
        size_bytes: of all its files, before compression.
        artifacts: ids, in its order of preference.
        unproved: id -> why its known answers could not be checked here. They are checked before it is used,
            and `pack` on its device clears the mark.
    """

    path: Path
    size_bytes: int
    artifacts: tuple[str, ...]
    unproved: Mapping[str, str]


def pack(
    bundle: str | Path,
    output: str | Path,
    *,
    settings: PackSettings | None = None,
    zipped: bool = False,
    force: bool = False,
) -> Packed:
    """Write a bundle with fewer artifacts, with artifacts compiled elsewhere, or as one file.

    An artifact that was compiled elsewhere must give the known answers of the one that it replaces. Where its
    device is not here, it is marked as unproved.

    Args:
        bundle: a bundle.
        output: the bundle to write, ``NAME.evb``; it may be `bundle` itself with `force`.
        settings: what to leave out and to replace.
        zipped: write one zip file instead of a folder.
        force: replace an existing bundle.

    Raises:
        BundleError: the bundle is damaged.
        OptionError: no artifact is left, or a name is none of an artifact, a format or a precision.
        ArtifactError: a replacement cannot be read, or its runtime refuses it.
        InferenceError: a replacement does not give the known answers.
        OutputError: the bundle cannot be written. Nothing is left behind.
    """
    path, zipped, force = one_path(output, "output"), flag(zipped, "zipped"), flag(force, "force")
    settings = PackSettings() if settings is None else instance(settings, PackSettings, "settings")
    check = _check_file if zipped else check_output
    before = check(path, force)
    opened = read_bundle(one_path(bundle, "bundle"))
    packing = _Packing(opened, settings, registry())
    manifest, files = packing.packed(path)
    if zipped:
        write_file(path, bundle_archive(manifest, files), before)
    else:
        write_bundle(path, manifest, files, force, before)
    return Packed(
        path,
        sum(map(len, files.values())),
        tuple(entry.id for entry in manifest.artifacts),
        {entry.id: entry.unproved for entry in manifest.artifacts if entry.unproved is not None},
    )


@dataclass(frozen=True)
class _Packing:
    """A bundle, and what to do with it."""

    bundle: Bundle
    settings: PackSettings
    plugins: Registry

    def packed(self, output: Path) -> tuple[Manifest, dict[str, bytes]]:
        """The manifest of the packed bundle, for `output`, and the content of every other file."""
        manifest, bundle = self.bundle.manifest, self.bundle
        known = answers_of(bundle)
        pairs = [self._artifact(entry, known) for entry in self._kept()]
        entries = tuple(entry for entry, _ in pairs)
        files = {
            file.path: content
            for entry, artifact in pairs
            for file, content in zip(entry.files, artifact.files.values(), strict=True)
        }
        files[LABELS] = bundle.read(manifest.labels)
        files[SELFTEST] = write_known_answers(known.only([entry.id for entry in entries]))
        files[EVIDENCE] = self._evidence(entries)
        keeps_pictures = self.settings.pictures and manifest.pictures is not None
        if manifest.pictures is not None and keeps_pictures:
            files[PICTURES] = bundle.read(manifest.pictures)
        return (
            replace(
                manifest,
                artifacts=entries,
                labels=file_entry(LABELS, files[LABELS]),
                selftest=file_entry(SELFTEST, files[SELFTEST]),
                evidence=file_entry(EVIDENCE, files[EVIDENCE]),
                pictures=file_entry(PICTURES, files[PICTURES]) if keeps_pictures else None,
                provenance=self._provenance(output),
                input_gate=self._input_gate(),
            ),
            files,
        )

    def _input_gate(self) -> InputGate | None:
        gate = self.settings.input_gate
        if gate is None:
            return self.bundle.manifest.input_gate
        return gate if gate.to_dict() else None

    def _provenance(self, output: Path) -> Provenance:
        """How the packed bundle came to be; its evidence has the conversion."""
        settings = self.settings
        replaced = settings.replacements or {}
        names = {name: base_name(path) for name, path in replaced.items()}
        known = {output, self.bundle.path, *map(Path, replaced.values())}
        stated: dict[str, Any] = {
            "keep": list(settings.keep),
            "drop": list(settings.drop),
            "replacements": names,
        }
        stated |= {"pictures": settings.pictures, "evidence_details": settings.evidence_details}
        packed = self.bundle.manifest.provenance
        if settings.input_gate is not None:
            stated["input_gate"] = settings.input_gate.to_dict()
        return Provenance(
            edgevision=__version__,
            revision=revision(),
            command=words_without_folders(settings.command, known),
            author=settings.author,
            settings=stated,
            inputs=(InputRecord("bundle", base_name(self.bundle.path), self.bundle.digest),),
            plugins=() if packed is None else packed.plugins,
        )

    def _kept(self) -> list[ArtifactEntry]:
        """The artifacts that stay, in the bundle's order."""
        entries, settings = self.bundle.manifest.artifacts, self.settings
        words = {word for entry in entries for word in (entry.id, entry.format, entry.precision)}
        replaced = settings.replacements or {}
        for word in (*settings.keep, *settings.drop, *replaced):
            if word not in words or (word in replaced and word not in {entry.id for entry in entries}):
                raise OptionError(
                    f"{self.bundle.path}: has no artifact '{word}'; it has: "
                    f"{', '.join(entry.id for entry in entries)}"
                )
        kept = [
            entry
            for entry in entries
            if (not settings.keep or _is_named(entry, settings.keep)) and not _is_named(entry, settings.drop)
        ]
        if not kept:
            raise OptionError(f"{self.bundle.path}: no artifact is left; keep one or more")
        for name in replaced:
            if name not in {entry.id for entry in kept}:
                raise OptionError(f"{name}: is replaced and left out at once; remove one of the two")
        return kept

    def _artifact(self, entry: ArtifactEntry, known: KnownAnswers) -> tuple[ArtifactEntry, Artifact]:
        """An artifact of the packed bundle: the bundle's own or its replacement, proved where possible."""
        own, path = self.bundle.artifact(entry), (self.settings.replacements or {}).get(entry.id)
        if path is None:
            return (self._proved(entry, own, known) if entry.unproved is not None else entry), own
        read = read_artifact(path, self.plugins.file_formats())
        if read.format != entry.format:
            raise OptionError(
                f"{path}: is {read.format}, and artifact '{entry.id}' is {entry.format}; compile it from the "
                f"file in {self.bundle.path / 'artifacts' / entry.id}"
            )
        artifact = replace(read, precision=entry.precision)
        if artifact.sha256 == own.sha256:
            raise OptionError(f"{path}: is the bundle's own artifact, not compiled for another device")
        folder = f"artifacts/{entry.id}"
        files = tuple(file_entry(f"{folder}/{name}", data) for name, data in artifact.files.items())
        compiled_from = entry.compiled_from or own.sha256
        compiled = replace(entry, files=files, compiled_from=compiled_from, unproved="not checked yet")
        return self._proved(compiled, artifact, known), artifact

    def _proved(self, entry: ArtifactEntry, artifact: Artifact, known: KnownAnswers) -> ArtifactEntry:
        """The entry after a check of its known answers; with the reason, if its device is not here.

        Raises:
            ArtifactError: the runtime refuses the artifact.
            InferenceError: an answer differs.
        """
        if entry.id not in known.outputs:
            raise BundleError(f"{self.bundle.path}: has no known answers for '{entry.id}'; convert again")
        settings = self.settings.session or SessionSettings()
        absent: list[str] = []
        refused: list[EdgeVisionError] = []
        for name in entry.backends:
            try:
                backend = self.plugins.available_backend(name, settings.device)
                check_opens(f"{self.bundle.path}: {entry.id}", artifact, backend, settings)
                session = open_session(backend, artifact, settings)
            except (PluginError, DeviceError) as error:
                absent.append(f"{name}: {error}")
            except (ArtifactError, ProcessError) as error:
                refused.append(error)
            else:
                with closing(session):
                    _check_names(entry, session.inputs, session.outputs)
                    check_known_answers(session, known, entry.id, entry.precision)
                    return replace(entry, inputs=session.inputs, outputs=session.outputs, unproved=None)
        if not absent:
            raise refused[0]
        # A backend that is present may refuse what was compiled for the device of one that is not.
        return replace(entry, unproved="; ".join([*absent, *map(str, refused)]))

    def _evidence(self, entries: Sequence[ArtifactEntry]) -> bytes:
        content = self.bundle.read(self.bundle.manifest.evidence)
        evidence = read_evidence(content.decode("utf-8", "replace"), f"{self.bundle.path}: {EVIDENCE}")
        ids = {entry.id for entry in entries}
        if len(ids) == len(self.bundle.manifest.artifacts) and self.settings.evidence_details:
            notes = _compiled_notes(evidence, entries)
            return (
                content
                if evidence.provenance and not notes
                else evidence_json(_with_notes(evidence, notes)).encode()
            )
        evidence = replace(evidence, results=tuple(one for one in evidence.results if one.artifact in ids))
        left_out = [entry.id for entry in self.bundle.manifest.artifacts if entry.id not in ids]
        notes = [f"left out when the bundle was packed: {', '.join(left_out)}"] if left_out else []
        if not self.settings.evidence_details:
            evidence = replace(
                evidence,
                attempts=(),
                sensitivities={},
                results=tuple(
                    replace(one, comparison=replace(one.comparison, details=None)) for one in evidence.results
                ),
            )
            notes.append("details of the evidence were left out when the bundle was packed")
        return evidence_json(_with_notes(evidence, [*notes, *_compiled_notes(evidence, entries)])).encode()


def _is_named(entry: ArtifactEntry, words: Sequence[str]) -> bool:
    return not {entry.id, entry.format, entry.precision}.isdisjoint(words)


def _check_names(entry: ArtifactEntry, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    for side, found, expected in (("inputs", inputs, entry.inputs), ("outputs", outputs, entry.outputs)):
        if {spec.name for spec in found} != {spec.name for spec in expected}:
            raise ArtifactError(
                f"{entry.id}: the compiled file has the {side} {', '.join(spec.name for spec in found)}; "
                f"expected {', '.join(spec.name for spec in expected)}; compile it from the bundle's artifact"
            )


def _compiled_notes(evidence: Evidence, entries: Sequence[ArtifactEntry]) -> list[str]:
    notes = []
    for entry in entries:
        if entry.compiled_from is not None:
            note = (
                f"{entry.id} was compiled elsewhere from the artifact that was measured "
                f"(sha256 {entry.compiled_from[:12]}…): the evidence is that artifact's"
            )
            notes += [] if note in evidence.notes else [note]
    return notes


def _with_notes(evidence: Evidence, notes: Sequence[str]) -> Evidence:
    return replace(evidence, notes=(*evidence.notes, *notes))


def _check_file(path: Path, force: bool) -> OutputState:
    """The state of `path`, after a check that a zip file can be written there."""
    if path.suffix not in (".evb", ".zip"):
        raise OutputError(f"{path}: the name of a zipped bundle ends in .evb or .zip")
    before = check_folder_of(path, "-o")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; choose another name with -o")
    if before and not force:
        raise OutputError(f"{path}: already exists; pass --force to replace it")
    if before and not _is_archive(path):
        raise OutputError(f"{path}: exists and is not a zipped bundle, so it is not replaced")
    return before


def _is_archive(path: Path) -> bool:
    try:
        return MANIFEST in files_of(path).sizes()
    except BundleError:
        return False
