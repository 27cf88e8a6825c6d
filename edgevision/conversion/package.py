"""Composes a bundle of what a conversion has made and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgevision import __version__
from edgevision.bundle.known_answers import KnownAnswers, write_known_answers
from edgevision.bundle.layout import EVIDENCE, LABELS, PICTURES, SELFTEST
from edgevision.bundle.manifest import ArtifactEntry, FileEntry, Manifest, SourceEntry
from edgevision.bundle.storage import file_entry
from edgevision.conversion.candidates import Candidate
from edgevision.converter import Source
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence


def composed(
    source: Source,
    evaluator: Evaluator,
    candidates: Sequence[Candidate],
    evidence: Evidence,
    selftest: KnownAnswers,
    pictures: bytes | None,
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of a bundle, and the content of every other file.

    Args:
        source: the trained model.
        evaluator: its task's.
        candidates: the artifacts.
        evidence: what was measured of them.
        selftest: their known answers.
        pictures: the content of ``pictures.zip``, or none.
    """
    files = {
        LABELS: "".join(f"{label}\n" for label in evaluator.labels).encode(),
        SELFTEST: write_known_answers(selftest),
        EVIDENCE: evidence_json(evidence).encode(),
    }
    artifacts = []
    for candidate in candidates:
        folder = f"artifacts/{candidate.planned.id}"
        own = {f"{folder}/{name}": content for name, content in candidate.artifact.files.items()}
        artifacts.append(_entry(candidate, tuple(file_entry(name, content) for name, content in own.items())))
        files.update(own)
    manifest = Manifest(
        created=evidence.created,
        task=evaluator.task,
        preprocessing=evaluator.preprocessing,
        source=SourceEntry(source.path.name, source.description, source.sha256),
        artifacts=tuple(artifacts),
        labels=file_entry(LABELS, files[LABELS]),
        selftest=file_entry(SELFTEST, files[SELFTEST]),
        evidence=file_entry(EVIDENCE, files[EVIDENCE]),
        versions={"edgevision": __version__, **source.versions},
    )
    if pictures is not None:
        files[PICTURES] = pictures
        manifest = replace(manifest, pictures=file_entry(PICTURES, pictures))
    return manifest, files


def _entry(candidate: Candidate, files: tuple[FileEntry, ...]) -> ArtifactEntry:
    session = candidate.session
    backends = dict.fromkeys([*(target.backend for target in candidate.planned.targets), session.backend])
    return ArtifactEntry(
        id=candidate.planned.id,
        format=candidate.artifact.format,
        precision=candidate.artifact.precision,
        files=files,
        inputs=session.inputs,
        outputs=session.outputs,
        targets=tuple(target.name for target in candidate.planned.targets),
        backends=tuple(backends),
        score_calibration=candidate.score_calibration,
    )
