"""A bundle of tests/data/tiny.tflite, written without TensorFlow: five classes of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.bundle.known_answers import KnownAnswers, KnownImages, compute_answers, write_known_answers
from edgevision.bundle.manifest import ArtifactEntry, Manifest, SourceEntry
from edgevision.bundle.storage import file_entry, write_bundle
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.score_calibration import ScoreCalibration

DATA = Path(__file__).parents[1] / "data"
LABELS = ("a", "b", "c", "d", "e")


def write_tiny_bundle(
    path: Path,
    score_kind: str = "softmax",
    labels: tuple[str, ...] = LABELS,
    score_calibration: ScoreCalibration | None = None,
    evidence_text: str = "{}",
) -> Path:
    """Write the bundle, with its known answers and, unless some is given, empty evidence."""
    artifact = read_artifact(DATA / "tiny.tflite")
    session = open_session(registry().backend("tflite"), artifact, SessionSettings())
    how = Preprocessing((8, 8), (0.0, 1.0))
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    known_inputs = KnownImages(images, how)
    known = KnownAnswers(known_inputs, {"tflite-float32": compute_answers(session, known_inputs)})
    files = {
        "artifacts/tflite-float32/tiny.tflite": artifact.content,
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "selftest.npz": write_known_answers(known),
        "evidence.json": evidence_text.encode(),
    }
    model, names, selftest, evidence = (file_entry(name, content) for name, content in files.items())
    entry = ArtifactEntry(
        "tflite-float32",
        "tflite",
        "float32",
        (model,),
        session.inputs,
        session.outputs,
        (),
        ("tflite",),
        score_calibration,
    )
    session.close()
    manifest = Manifest(
        created="2026-11-24T00:00:00Z",
        task=ClassifyTask("scores", score_kind),
        preprocessing=how,
        source=SourceEntry("tiny", "written by hand", "0" * 64),
        artifacts=(entry,),
        labels=names,
        selftest=selftest,
        evidence=evidence,
    )
    write_bundle(path, manifest, files)
    return path
