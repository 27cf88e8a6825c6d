"""Bundles of fake artifacts, and a registry of the fake backends that run them: no runtime is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgevision import hookimpl
from edgevision.bundle.known_answers import (
    KnownAnswers,
    KnownImages,
    KnownInputs,
    KnownTensors,
    compute_answers,
    write_known_answers,
)
from edgevision.bundle.manifest import ArtifactEntry, Manifest, SourceEntry
from edgevision.bundle.storage import file_entry, write_bundle
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import Registry, discover
from edgevision.session import open_session
from edgevision.tasks import decoders
from edgevision.tasks.description import ClassifyTask, DetectTask, GenerateTask, Task
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

IMAGE = TensorSpec("image", (None, 4, 4, 3), "float32")
HEATMAP = {"heatmap": "heatmap", "size": "size", "offset": "offset", "size_unit": "cells"}
CLASSIFY = ClassifyTask("scores", "softmax")
DETECT = DetectTask("heatmap", HEATMAP)
GENERATE = GenerateTask("latent", "made", (0, 1), "gray", {"input": "vector"})  # type: ignore[arg-type]


class FakeRuntime(FakeBackend):
    """A fake backend with a name and formats of its own."""

    def __init__(self, name: str, *formats: str) -> None:
        super().__init__()
        self.name = name
        self.formats = formats or (name,)
        self.opened = 0

    def open(self, artifact, settings):  # type: ignore[no-untyped-def]
        self.opened += 1
        return super().open(artifact, settings)


def registry_of(*backends: FakeBackend) -> Registry:
    """The core's decoders, and one plugin for each backend."""

    class Plugin:
        def __init__(self, backend: FakeBackend) -> None:
            self._backend = backend

        @hookimpl
        def edgevision_backends(self) -> list[FakeBackend]:
            return [self._backend]

    plugins = discover([])
    plugins.register(decoders, "decoders")
    for backend in backends:
        plugins.register(Plugin(backend), backend.name)
    return plugins


def write_fake_bundle(
    path: Path, task: Task = CLASSIFY, formats: Sequence[str] = ("fake",), precision: str = "float32"
) -> Path:
    """Write a bundle with one artifact per format, to be run by the backend of the format's name."""
    preprocessing = None if isinstance(task, GenerateTask) else Preprocessing((4, 4), (0.0, 255.0))
    inputs, outputs = _network(task)
    artifact = FakeBackend.artifact(inputs, outputs)
    known_inputs: KnownInputs
    if preprocessing is None:
        known_inputs = KnownTensors({"vector": np.ones((1, 3), np.float32)})
    else:
        known_inputs = KnownImages(np.full((1, 4, 4, 3), 9, np.uint8), preprocessing)
    answers = compute_answers(open_session(FakeBackend(), artifact), known_inputs)
    ids = [f"{name}-{precision}" for name in formats]
    files = {f"artifacts/{name}/model.{name}": artifact.content for name in formats}
    entries = tuple(
        ArtifactEntry(
            entry_id,
            name,
            precision,
            (file_entry(file, content),),
            tuple(inputs),
            tuple(outputs),
            (),
            (name,),
        )
        for entry_id, name, (file, content) in zip(ids, formats, files.items(), strict=True)
    )
    known = write_known_answers(KnownAnswers(known_inputs, dict.fromkeys(ids, answers)))
    files |= {"labels.txt": b"cat\ndog\n", "selftest.npz": known, "evidence.json": b"{}"}
    manifest = Manifest(
        created="2026-11-23T00:00:00Z",
        task=task,
        preprocessing=preprocessing,
        source=SourceEntry("model.keras", "Keras 3 .keras file", "0" * 64),
        artifacts=entries,
        labels=file_entry("labels.txt", files["labels.txt"]),
        selftest=file_entry("selftest.npz", known),
        evidence=file_entry("evidence.json", files["evidence.json"]),
    )
    write_bundle(path, manifest, files)
    return path


def _network(task: Task) -> tuple[list[TensorSpec], list[TensorSpec]]:
    if isinstance(task, ClassifyTask):
        return [IMAGE], [TensorSpec("scores", (None, 2), "float32")]
    if isinstance(task, DetectTask):
        sizes = {"heatmap": 2, "size": 2, "offset": 2}
        return [IMAGE], [TensorSpec(name, (None, 2, 2, n), "float32") for name, n in sizes.items()]
    vector = TensorSpec("vector", (None, 3), "float32")
    return [vector], [TensorSpec("made", (None, 4, 4, 1), "float32")]
