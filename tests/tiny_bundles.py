"""Bundles of tiny networks in each format, made without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevision.artifact import Artifact, read_artifact
from edgevision.bundle.answers_on_session import OpenArtifact, record_answers
from edgevision.bundle.expectations import ModelPath
from edgevision.bundle.known_answers import KnownImages, write_known_answers
from edgevision.bundle.manifest import ArtifactEntry, Manifest, SourceEntry
from edgevision.bundle.storage import file_entry, write_bundle
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.tasks.description import ClassifyTask, DetectTask, Task
from edgevision.tasks.score_calibration import ScoreCalibration

DATA = Path(__file__).parent / "data"
LABELS = ("red apple", "pear", "c", "d", "e")
RGB = Preprocessing((8, 8), (0.0, 1.0), mean=(0.1, 0.2, 0.3), scale=(0.9, 0.8, 0.7))
CLASSIFY = ClassifyTask("scores", "softmax")
DETECT = DetectTask(
    "boxes-scores",
    {"boxes": "b", "scores": "s", "box_format": "xywh", "box_unit": "share"},
    score_threshold=0.3,
    iou_threshold=0.9,
)
#: Number of boxes of the tiny detector, and classes.
BOXES, CLASSES = 12, 5


def classifier_artifact(name: str = "tiny.tflite", logits: bool = False) -> Artifact:
    """The tiny network with one output of scores."""
    artifact = read_artifact(DATA / name)
    graph = registry().backend("tflite").editable_graph(artifact)
    scores = graph.output("scores")
    graph.set_outputs({"scores": graph.unary("log", scores) if logits else scores})
    return graph.artifact()


def detector_artifact(artifact: Artifact) -> Artifact:
    """A network of the tiny one's inputs with boxes (1, 12, 4), left, top, width and height, and scores."""
    graph: Any = registry().backend(artifact.format).editable_graph(artifact)
    features, scores = graph.output("features"), graph.output("scores")
    random = np.random.default_rng(0)
    shares = graph.unary("sigmoid", features)
    places = graph.constant(random.uniform(0.1, 0.4, (1, BOXES, 4)))
    boxes = graph.binary("multiply", graph.reshape(shares, (1, 1, 4)), places)
    boxes = graph.binary("add", boxes, graph.constant(random.uniform(0, 0.3, (1, BOXES, 4))))
    strengths = graph.constant(random.uniform(0.2, 1, (1, BOXES, CLASSES)))
    graph.set_outputs(
        {"b": boxes, "s": graph.binary("multiply", graph.reshape(scores, (1, 1, CLASSES)), strengths)}
    )
    return graph.artifact()


def write_artifacts(
    path: Path,
    artifacts: Mapping[str, Artifact],
    *,
    task: Task = CLASSIFY,
    how: Preprocessing = RGB,
    labels: tuple[str, ...] = LABELS,
    score_calibration: ScoreCalibration | None = None,
    evidence: bytes = b"{}",
) -> Path:
    """Write a bundle of artifacts: id -> artifact."""
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    entries, files, opened = [], {}, []
    for name, artifact in artifacts.items():
        backend = registry().backend(artifact.format)
        session = open_session(backend, artifact)
        opened.append(OpenArtifact(name, name.partition("-")[2], session, score_calibration))
        inputs, outputs = session.inputs, session.outputs
        content = {f"artifacts/{name}/{file}": data for file, data in artifact.files.items()}
        files.update(content)
        listed = tuple(file_entry(file, data) for file, data in content.items())
        precision = name.partition("-")[2]
        entries.append(
            ArtifactEntry(
                name,
                artifact.format,
                precision,
                listed,
                inputs,
                outputs,
                (),
                (artifact.format,),
                score_calibration,
            )
        )
    right = labels if len(labels) == CLASSES else LABELS  # some tests want a bundle that cannot be used
    known = record_answers(ModelPath(task, right, how, images, registry()), KnownImages(images, how), opened)
    for one in opened:
        one.session.close()
    own = {
        "labels.txt": "".join(f"{label}\n" for label in labels).encode(),
        "selftest.npz": write_known_answers(known),
        "evidence.json": evidence,
    }
    names, selftest, document = (file_entry(name, content) for name, content in own.items())
    manifest = Manifest(
        "2026-11-24T00:00:00Z",
        task,
        how,
        SourceEntry("tiny", "written by hand", "0" * 64),
        tuple(entries),
        names,
        selftest,
        document,
    )
    write_bundle(path, manifest, {**files, **own})
    return path


def nchw(how: Preprocessing = RGB) -> Preprocessing:
    """The preprocessing of the tiny networks in ONNX and OpenVINO."""
    return replace(how, layout="nchw")
