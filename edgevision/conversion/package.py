"""Composition of a bundle from the results of a conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgevision import __version__
from edgevision.bundle.answers_on_session import OpenArtifact, record_answers
from edgevision.bundle.expectations import ModelPath
from edgevision.bundle.known_answers import KnownAnswers, KnownImages, write_known_answers
from edgevision.bundle.layout import EVIDENCE, LABELS, PICTURES, SELFTEST
from edgevision.bundle.manifest import ArtifactEntry, FileEntry, Manifest, SourceEntry
from edgevision.bundle.storage import file_entry
from edgevision.conversion.candidates import Candidate, Trial
from edgevision.conversion.reference import Reference
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evaluation.source_session import SourceSession
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.plugins import registry

#: Number of images with known answers: one per class, within these bounds.
_LEAST_KNOWN, _MOST_KNOWN = 8, 64
#: Most bytes of all images together, before compression.
_MOST_KNOWN_BYTES = 8_000_000


def compose(
    reference: Reference, trials: Sequence[Trial], evidence: Evidence, pictures: bytes | None
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of a bundle, and the content of every other file.

    Args:
        reference: the source's answers; they decide which examples become known answers.
        trials: the artifacts, still loaded.
        evidence: their measurements.
        pictures: the content of ``pictures.zip``, or `None`.
    """
    source, evaluator = reference.source, reference.evaluator
    files = {
        LABELS: "".join(f"{label}\n" for label in evaluator.labels).encode(),
        SELFTEST: write_known_answers(known_answers(reference, trials)),
        EVIDENCE: evidence_json(evidence).encode(),
    }
    entries = []
    for candidate in (trial.candidate for trial in trials):
        folder = f"artifacts/{candidate.planned.id}"
        content = {f"{folder}/{name}": data for name, data in candidate.artifact.files.items()}
        entries.append(_entry(candidate, tuple(file_entry(name, data) for name, data in content.items())))
        files.update(content)
    manifest = Manifest(
        created=evidence.created,
        task=evaluator.task,
        preprocessing=evaluator.preprocessing,
        source=SourceEntry(source.path.name, source.description, source.sha256),
        artifacts=tuple(entries),
        labels=file_entry(LABELS, files[LABELS]),
        selftest=file_entry(SELFTEST, files[SELFTEST]),
        evidence=file_entry(EVIDENCE, files[EVIDENCE]),
        versions={"edgevision": __version__, **source.versions},
        provenance=evidence.provenance,
    )
    if pictures is not None:
        files[PICTURES] = pictures
        manifest = replace(manifest, pictures=file_entry(PICTURES, pictures))
    return manifest, files


def known_answers(reference: Reference, trials: Sequence[Trial]) -> KnownAnswers:
    """Network inputs for a few representative examples, and each artifact's outputs for them.

    About one image per class, at least 8 and at most 64, limited to 8 MB of pixels.

    Args:
        reference: the source's answers, which the representative examples are chosen by.
        trials: the artifacts of the bundle, still loaded.
    """
    evaluator = reference.evaluator
    places = evaluator.representative(reference.answers, number_of_known_answers(evaluator))
    inputs = evaluator.known_inputs(SourceSession(reference.source), reference.examples, places)
    images = inputs.images if isinstance(inputs, KnownImages) else None
    path = ModelPath(evaluator.task, evaluator.labels, evaluator.preprocessing, images, registry())
    opened = [
        OpenArtifact(
            trial.id, trial.candidate.artifact.precision, trial.session, trial.candidate.score_calibration
        )
        for trial in trials
    ]
    return record_answers(path, inputs, opened)


def number_of_known_answers(evaluator: Evaluator) -> int:
    """The number of images that a bundle of this task keeps with their known answers."""
    if evaluator.preprocessing is None:
        return _LEAST_KNOWN
    width, height = evaluator.preprocessing.size_wh
    per_class = min(max(_LEAST_KNOWN, len(evaluator.labels)), _MOST_KNOWN)
    return max(1, min(per_class, _MOST_KNOWN_BYTES // (width * height * 3)))


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
