"""Bundles of a tiny network on each installed runtime, and what may come of opening one after damage."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import edgevision as ev
from edgevision.artifact import Artifact, read_artifact
from fuzz.harness import EscapeError
from tiny_bundles import RGB, classifier_artifact, write_artifacts
from tiny_onnx import tiny_onnx_bytes

PHOTO = np.random.default_rng(9).integers(0, 256, (12, 10, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Basis:
    """A good bundle.

    Attributes:
        format: of its one artifact.
        contents: name -> content of each of its files.
        manifest: read from it.
        labels: its labels.
        scores: the scores of `PHOTO`.
    """

    format: str
    contents: Mapping[str, bytes]
    manifest: ev.Manifest
    labels: tuple[str, ...]
    scores: np.ndarray

    def write(self, path: Path, changed: Mapping[str, bytes] | None = None) -> Path:
        """Write it as a folder, with other contents for some of its files, and without those of `None`."""
        for name, content in {**self.contents, **(changed or {})}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        return path

    def use(self, path: Path) -> str:
        """Open what was made of it, and run it: raises an `EdgeVisionError`, or gives the same answers.

        Raises:
            EscapeError: it answers otherwise in silence.
        """
        with ev.load(path) as model:
            result = model(PHOTO)
        assert isinstance(result, ev.Classification)
        if tuple(result.labels) != self.labels:
            raise EscapeError(f"other labels in silence: {result.labels!r:.80}")
        difference = float(np.abs(result.scores - self.scores).max())
        if not difference <= 1e-4:
            raise EscapeError(f"other scores in silence, by {difference:.3g}")
        return "the same"


def artifacts(folder: Path) -> Iterator[Artifact]:
    """The tiny network in each format whose runtime is installed."""
    yield classifier_artifact()
    content = tiny_onnx_bytes()
    if importlib.util.find_spec("onnxruntime"):
        yield Artifact("onnx", "float32", {"tiny.onnx": content})
    if importlib.util.find_spec("openvino"):
        from edgevision_openvino.runtime import import_openvino

        openvino, path = import_openvino(), folder / "ir" / "tiny.xml"
        openvino.save_model(openvino.Core().read_model(content), path, compress_to_fp16=False)
        yield read_artifact(path)


def bases(folder: Path) -> list[Basis]:
    """A good bundle of each of `artifacts`."""
    (folder / "ir").mkdir(exist_ok=True)
    return [basis_of(artifact, folder / "good" / f"{artifact.format}.evb") for artifact in artifacts(folder)]


def basis_of(artifact: Artifact, path: Path) -> Basis:
    """A good bundle of one artifact, written at `path`."""
    path.parent.mkdir(exist_ok=True)
    how = RGB if artifact.format == "tflite" else replace(RGB, layout="nchw")
    write_artifacts(path, {f"{artifact.format}-float32": artifact}, how=how)
    bundle = ev.read_bundle(path)
    with ev.load(path) as model:
        scores = model(PHOTO).scores
    names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
    contents = {name: (path / name).read_bytes() for name in names}
    return Basis(artifact.format, contents, bundle.manifest, bundle.labels, scores)
