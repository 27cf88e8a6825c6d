"""Bundles for tests of the report, with evidence of real comparisons, labels and example images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgevision.bundle.manifest import ArtifactEntry, Manifest, SourceEntry
from edgevision.bundle.pictures import Picture, write_pictures
from edgevision.bundle.storage import file_entry, write_bundle
from edgevision.calibration.findings import Coverage, Finding, LayerCoverage
from edgevision.datasets.image_sets import SetFacts
from edgevision.evaluation.classification import compare_scores
from edgevision.evaluation.image_to_image import compare_images
from edgevision.evidence.document import evidence_json
from edgevision.evidence.operating_points import (
    OperatingEvidence,
    ThresholdedScores,
    operating_evidence,
)
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.records import Attempt, Evidence, Measured
from edgevision.evidence.requirements import Budget, Requirement
from edgevision.evidence.temperatures import (
    ScaledScores,
    ScoreQuality,
    TemperatureEvidence,
    temperature_evidence,
)
from edgevision.imaging.preprocess import Preprocessing
from edgevision.metrics.changes import BoxChange
from edgevision.metrics.comparison import Comparison, DetectDetails
from edgevision.metrics.intervals import clopper_pearson
from edgevision.metrics.reliability import Reliability
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask, Task
from edgevision.tasks.generation_settings import ImageToImageSettings
from edgevision.tensors import TensorSpec
from measured_artifacts import measured_artifact

RELIABILITY = Reliability.of(np.array([0.9, 0.4], np.float32), np.array([True, False]))
LABELS = ("nevus", "melanoma", "keratosis", "angioma")
CLASSIFY = ClassifyTask("scores", "softmax")
DETECT = DetectTask("heatmap", {"heatmap": "peaks"})
GENERATE = GenerateTask("image-to-image", "clean", (0.0, 1.0), "rgb", ImageToImageSettings("tiles", 4))


def classified(labelled: bool = True, classes: int = 4, names: Sequence[str] = ()) -> Comparison:
    """A comparison of two classifiers, the second with noise, on 80 images."""
    random = np.random.default_rng(7)
    truth = random.integers(0, classes, 80)
    source = random.dirichlet(np.ones(classes), 80).astype(np.float32)
    source[np.arange(80), truth] += 0.5
    artifact = source + random.normal(0, 0.1, source.shape).astype(np.float32)
    rows = [(one.clip(0) / one.clip(0).sum(axis=1, keepdims=True)) for one in (source, artifact)]
    labels = LABELS if classes == len(LABELS) else [f"class {number}" for number in range(classes)]
    image_names = names or [f"{labels[kind]}/{place}.jpg" for place, kind in enumerate(truth)]
    return compare_scores(*rows, truth if labelled else None, labels=labels, image_names=image_names)


def calibrated_scores() -> tuple[OperatingEvidence, TemperatureEvidence]:
    """An operating point and temperatures."""
    random = np.random.default_rng(3)
    positive = np.arange(60) % 3 == 0
    scores = (random.random(60) * 0.6 + 0.35 * positive).astype(np.float32)
    first = ThresholdedScores(scores, scores, 0.35)
    second = ThresholdedScores(scores, scores - np.float32(0.02), 0.34)
    point = operating_evidence(
        OperatingPointSpecification("melanoma", "sensitivity", 0.97), first, second, (positive,) * 2
    )
    before, after = ScoreQuality(0.5, RELIABILITY), ScoreQuality(0.6, RELIABILITY)
    scaled = ScaledScores(1.75, before, after)
    return point, temperature_evidence(scaled, scaled)


def independent() -> Comparison:
    """A comparison of two networks with independent scores."""
    random = np.random.default_rng(0)
    source, artifact = random.random((2, 40, 4), np.float32)
    truth = random.random((40, 4)) < 0.3
    return compare_scores(source, artifact, truth, multi_label=True, labels=LABELS)


def detected() -> Comparison:
    """A comparison of two detectors."""
    changes = (BoxChange("a.jpg", 2, ("nevus", "nevus"), ()), BoxChange("b.jpg", 1, (), ("melanoma",)))
    details = DetectDetails(2, changes)
    return Comparison(9, 0.9, 0.1, 0.1, agreement_interval=clopper_pearson(8, 9), details=details)


def generated() -> Comparison:
    """A comparison of two image-to-image networks."""
    random = np.random.default_rng(0)
    source = [random.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(4)]
    artifact = [(image // 2 * 2).astype(np.uint8) for image in source]
    return compare_images(source, artifact, [f"{place}.png" for place in range(4)])


#: A comparison of an early release, without intervals, classes and changes.
BARE = Comparison(9, 0.9, 0.1, 0.1)

CASES: dict[str, tuple[Task, Comparison]] = {
    "classify": (CLASSIFY, classified()),
    "unlabelled": (CLASSIFY, classified(labelled=False)),
    "independent scores": (ClassifyTask("scores", "sigmoid"), independent()),
    "detect": (DETECT, detected()),
    "generate": (GENERATE, generated()),
    "bare": (CLASSIFY, BARE),
}


def measured(
    artifact: str, comparison: Comparison, budget: Budget | None = None, **facts: object
) -> Measured:
    """Measurements of an artifact."""
    requirements = (budget or Budget(min_agreement=0.5)).requirements(comparison, 0.5)
    facts = {"artifact": artifact, "size_bytes": 176_000, **facts}
    return measured_artifact(comparison, *requirements, **facts)


def evidence_of(*results: Measured) -> Evidence:
    """Evidence with something in every field."""
    layer = LayerCoverage("conv_7", -1.5, 2.5, ((-1.0, 2.0), (-1.5, 2.5)), 0.125, 0.0009)
    return Evidence(
        created="2026-11-24T01:02:03Z",
        source_sha256="a" * 64,
        machine={"processor": "Test Processor 9000", "architecture": "x86_64", "cores": 2},
        evaluation=SetFacts("labelled/", 80, "b" * 64, labelled=True, left_out=2),
        calibration=SetFacts("images/", 50, "c" * 64, labelled=False),
        results=results,
        notes=("max_latency_ms of the camera was not measured",),
        attempts=(
            Attempt(
                "tflite-int8", (), 900, 0.4, {"accuracy": 0.7}, (Requirement("agreement", True, 0.5, 0.4),)
            ),
            Attempt("tflite-int8-mixed", ("conv_1",), 1200, 0.9, {"accuracy": 0.75}),
            Attempt(
                "tflite-int8-float-io",
                (),
                1000,
                0.9,
                {"accuracy": 0.75},
                latency_ms=9.5,
                cpu_ms=9.25,
                slower="2.6 times the time of tflite-float32",
            ),
            Attempt("tflite-int16x8", (), error="no kernel for Floor"),
        ),
        sensitivities={"tflite": (("conv_1", 0.5), ("dense_2", 0.125))},
        calibration_findings=(
            Finding("near-duplicates", "warning", "9 images are nearly alike", ("x.jpg",)),
        ),
        calibration_coverage=Coverage(50, 80, 12, 0.0004, 0.01, (layer,)),
    )


def picture(image: str, shows: str = "input", side: int = 32) -> Picture:
    """A picture of an image."""
    pixels = np.random.default_rng(len(image)).integers(0, 256, (side, side, 3), np.uint8)
    return Picture(image, shows, cv2.imencode(".png", pixels)[1].tobytes())


def write_report_bundle(
    path: Path,
    evidence: Evidence | str,
    task: Task = CLASSIFY,
    pictures: Sequence[Picture] | None = (),
    labels: Sequence[str] = LABELS,
    targets: tuple[str, ...] = ("raspberry-pi-5",),
) -> Path:
    """Write a bundle with this evidence and an artifact that cannot run."""
    spec = TensorSpec("x", (None, 8, 8, 3), "float32")
    files = {
        "artifacts/a.tflite": b"an artifact",
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "selftest.npz": b"",
        "evidence.json": (evidence if isinstance(evidence, str) else evidence_json(evidence)).encode(),
    }
    if pictures is not None:
        files["pictures.zip"] = write_pictures(pictures)
    entries = {name: file_entry(name, content) for name, content in files.items()}
    ids = ["tflite-int8"] if isinstance(evidence, str) else [one.artifact for one in evidence.results]
    artifact_files = (entries["artifacts/a.tflite"],)
    artifacts = tuple(
        ArtifactEntry(name, "tflite", "int8", artifact_files, (spec,), (spec,), targets, ("tflite",))
        for name in ids
    )
    manifest = Manifest(
        created="2026-11-24T00:00:00Z",
        task=task,
        preprocessing=Preprocessing((8, 8), (0.0, 1.0)),
        source=SourceEntry("skin.keras", "Keras 3 .keras file", "a" * 64),
        artifacts=artifacts,
        labels=entries["labels.txt"],
        selftest=entries["selftest.npz"],
        evidence=entries["evidence.json"],
        versions={"edgevision": "0.1.0", "keras": "3.15.1"},
        pictures=entries.get("pictures.zip"),
    )
    write_bundle(path, manifest, files)
    return path
