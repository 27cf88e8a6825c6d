"""Conversions of a tiny network in milliseconds: a reader and a converter that need no TensorFlow."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevision import hookimpl
from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.conversion.settings import ConversionRequest, ConversionSettings
from edgevision.converter import SourceFacts
from edgevision.datasets.image_sets import ImageSet
from edgevision.plugins import Registry, discover, registry
from edgevision.session import CheckedSession, open_session
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec

DATA = Path(__file__).parents[1] / "data"
LABELS = ("a", "b", "c", "d", "e")
FILES = {"float32": "tiny.tflite", "float16": "tiny_float16.tflite", "int8": "tiny_int8.tflite"}


def tiny_artifact(precision: str) -> Artifact:
    """The tiny network, as it was converted before."""
    return replace(read_artifact(DATA / FILES[precision]), precision=precision)


@dataclass
class TinySource:
    """The float network as a trained model."""

    path: Path
    session: CheckedSession
    kind: str = "tiny"
    description: str = "tiny network"
    sha256: str = "0" * 64
    runs: int = 0

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self.session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self.session.outputs

    @property
    def facts(self) -> SourceFacts:
        return SourceFacts(pixel_range=(0.0, 1.0), score_kind="softmax")

    @property
    def versions(self) -> Mapping[str, str]:
        return {}

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.runs += 1
        return self.session.run(inputs)


class TinyReader:
    name = "tiny"

    def reads(self, path: Path) -> bool:
        return path.suffix == ".tiny"

    def read(self, path: Path, **_: Any) -> TinySource:
        backend = registry().backend("tflite")
        return TinySource(path, open_session(backend, read_artifact(DATA / "tiny.tflite"), SessionSettings()))


class TinyConverter:
    """Its artifacts were converted before, or are made by a function, which may raise instead."""

    name, kind, format = "tiny-tflite", "tiny", "tflite"
    precisions = ("float32", "float16", "int8")

    def __init__(self, **made: Callable[[], Artifact]) -> None:
        self.made = made

    def convert(self, source: TinySource, precision: str, calibration: Any) -> Artifact:
        assert (calibration is not None) == (precision == "int8")
        return self.made.get(precision, lambda: tiny_artifact(precision))()


def tiny_plugins(*converters: Any, backends: tuple[Any, ...] = ()) -> Registry:
    """A registry with these converters, the reader, LiteRT, and more backends."""

    class Plugin:
        @hookimpl
        def edgevision_readers(self):
            return [TinyReader()]

        @hookimpl
        def edgevision_converters(self):
            return list(converters)

        @hookimpl
        def edgevision_backends(self):
            return [registry().backend("tflite"), *backends]

    found = discover([])
    found.register(Plugin(), "tiny")
    return found


def tiny_images(count: int, seed: int) -> ImageSet:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 1, 1, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return ImageSet.from_arrays(pixels, random.integers(0, 5, count), LABELS)


def learned_images(count: int, seed: int) -> ImageSet:
    """Images of which the network knows the class of most, so that its scores can be calibrated."""
    images = tiny_images(count, seed)
    with open_session(registry().backend("tflite"), tiny_artifact("float32")) as session:
        pixels = np.stack(list(images)).astype(np.float32) / 255
        predicted = session.run({session.inputs[0].name: pixels})["scores"].argmax(1)
    labels = np.where(np.arange(count) % 3, predicted, (predicted + 1) % 5)
    return ImageSet.from_arrays(list(images), labels, LABELS)


TARGET = '[{0}]\ndescription = "{0}"\nbackend = "{1}"\nformat = "{2}"\nprecisions = {3}\n{4}\n'


def tiny_request(
    folder: Path,
    precisions: tuple[str, ...] = (),
    *,
    targets: Mapping[str, str] | None = None,
    calibrated: bool = False,
    **settings: Any,
) -> ConversionRequest:
    """A request to convert the tiny network; `targets` maps names to their tables of TOML."""
    (folder / "model.tiny").write_bytes(b"")
    if targets is None:
        targets = {
            "camera": TARGET.format("camera", "tflite", "tflite", '["int8", "float16", "float32"]', "")
        }
    (folder / "targets.toml").write_text("".join(targets.values()))
    return ConversionRequest(
        folder / "model.tiny",
        folder / "model.evb",
        tuple(targets),
        precisions,
        tiny_images(200, 0),
        tiny_images(40, 1) if calibrated else None,
        ConversionSettings(TaskOptions(output="scores"), targets_files=[folder / "targets.toml"], **settings),
    )


FRAGILE = """
    import os, time
    from edgevision import hookimpl
    from edgevision.plugins import registry

    class FragileBackend:
        name, formats, options = "fragile", ("tflite",), ()

        def version(self):
            return "fragile 1"

        def devices(self):
            return registry().backend("tflite").devices()

        def open(self, artifact, settings):
            if artifact.name == "abort.tflite":
                os.write(2, b"negative scale\\n")
                os.abort()
            if artifact.name == "hang.tflite":
                time.sleep(600)
            return registry().backend("tflite").open(artifact, settings)

    @hookimpl
    def edgevision_backends():
        return [FragileBackend()]
"""


def install_fragile_backend(folder: Path) -> None:
    """Install a plugin in a folder: a backend whose runtime aborts or hangs on artifacts of some names."""
    (folder / "fragile_backend.py").write_text(textwrap.dedent(FRAGILE))
    metadata = folder / "fragile_backend-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fragile-backend\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[edgevision]\nfragile = fragile_backend\n")


def named(name: str, precision: str) -> Artifact:
    """The tiny network under another name."""
    return replace(tiny_artifact(precision), files={name: tiny_artifact(precision).content})
