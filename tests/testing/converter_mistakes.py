"""Converters that are wrong in one way each, from the linear layer of `backend_mistakes` to its artifacts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from backend_mistakes import IMAGE, SCORES, WEIGHTS, Sound, linear
from mistakes import Mistakes

from edgevision.artifact import Artifact
from edgevision.converter import SourceFacts
from edgevision.errors import ConversionError
from edgevision.tensors import Array


class LinearSource:
    kind, path, description, sha256 = "linear", Path("model.npy"), "a matrix", "0" * 64
    inputs, outputs, facts = (IMAGE,), (SCORES,), SourceFacts()
    versions: Mapping[str, str] = {}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"scores": linear(WEIGHTS, inputs["image"])}


class Calibration(list):
    """Ten images; each iteration yields the same arrays again, so that a change shows."""


def calibration() -> Calibration:
    random = np.random.default_rng(5)
    return Calibration({"image": random.random((1, 6, 6, 3), np.float32)} for _ in range(10))


class Runtime(Sound):
    """Runs artifacts of float32, float16, or int8 with a scale, told by their length."""

    def weights(self, artifact: Artifact) -> Array:
        kind = {2160: np.float32, 1080: np.float16}.get(len(artifact.content))
        if kind is not None:
            return np.frombuffer(artifact.content, kind).reshape(108, 5).astype(np.float32)
        scale, _ = np.frombuffer(artifact.content[:8], np.float32)
        integers = np.frombuffer(artifact.content[8:], np.int8)
        return integers.reshape(108, 5).astype(np.float32) * scale


class SoundConverter:
    """A converter without a mistake."""

    name, kind, format = "linear-linear", "linear", "linear"
    precisions: Any = ("float32", "float16", "int8")

    def convert(self, source: Any, precision: str, data: Any) -> Artifact:
        if precision not in self.precisions:
            raise ConversionError(f"no precision '{precision}'")
        if precision == "int8":
            if data is None:
                raise ConversionError("int8 needs a calibration set")
            top = np.float32(max(float(np.abs(one["image"]).max()) for one in data))
            return self.made(precision, self.integers(source, top))
        kind = {"float32": np.float32, "float16": np.float16}[precision]
        return self.made(precision, self.matrix(source).astype(kind).tobytes())

    def matrix(self, source: Any) -> Array:
        return WEIGHTS

    def integers(self, source: Any, top: Any) -> bytes:
        scale = np.float32(np.abs(WEIGHTS).max() / 127)
        integers = np.round(self.matrix(source) / scale).astype(np.int8)
        return np.array([scale, top], np.float32).tobytes() + integers.tobytes()

    def made(self, precision: str, content: bytes) -> Artifact:
        return Artifact(self.format, precision, {"model.linear": content})


MISTAKES = Mistakes()
mistake = MISTAKES.mistake


@mistake("without a calibration set")
class CalibratesOnNothing(SoundConverter):
    def convert(self, source, precision, data):
        return super().convert(source, precision, data or calibration())


@mistake("the calibration set is not used")
class IgnoresCalibration(SoundConverter):
    def integers(self, source, top):
        return super().integers(source, np.float32(1))


@mistake("changed the calibration set")
class ChangesCalibration(SoundConverter):
    def convert(self, source, precision, data):
        artifact = super().convert(source, precision, data)
        for one in data or ():
            one["image"] *= 0.5
        return artifact


@mistake("are the same as those of float32|float16 computed|are the same")
class OnePrecision(SoundConverter):
    def convert(self, source, precision, data):
        super().convert(source, precision, data)
        artifact = super().convert(source, "float32", None)
        return Artifact(self.format, precision, artifact.files)


@mistake("returned .* bytes the second time|another artifact")
class RandomBytes(SoundConverter):
    def made(self, precision, content):
        artifact = super().made(precision, content)
        return Artifact(self.format, precision, {**artifact.files, "stamp": os.urandom(8)})


@mistake("in the working directory")
class LeavesFiles(SoundConverter):
    def made(self, precision, content):
        Path("model.tmp").write_bytes(content)
        return super().made(precision, content)


@mistake("temporary files")
class LeavesTemporaryFiles(SoundConverter):
    def made(self, precision, content):
        Path(tempfile.mkdtemp(), "model").write_bytes(content)
        return super().made(precision, content)


@mistake("returned float32")
class StatesAnotherPrecision(SoundConverter):
    def made(self, precision, content):
        return super().made("float32", content)


@mistake("returned a other artifact")
class StatesAnotherFormat(SoundConverter):
    def made(self, precision, content):
        return Artifact("other", precision, {"model.linear": content})


@mistake("is not a precision")
class UnknownPrecision(SoundConverter):
    precisions = ("float32", "float7")


@mistake("differs from the source")
class Transposed(SoundConverter):
    def matrix(self, source):
        return WEIGHTS[::-1]


@mistake("raised ValueError")
class ForeignError(SoundConverter):
    def convert(self, source, precision, data):
        if precision == "int8" and data is None:
            raise ValueError("data")
        return super().convert(source, precision, data)


@mistake("an unknown precision")
class TakesAnyPrecision(SoundConverter):
    def convert(self, source, precision, data):
        return super().convert(source, precision if precision in self.precisions else "float32", data)


@mistake("printed to stdout")
class Prints(SoundConverter):
    def made(self, precision, content):
        print("converted")  # noqa: T201 - the mistake
        return super().made(precision, content)


@mistake("a path outside|file name")
class NamesAFileOutside(SoundConverter):
    def made(self, precision, content):
        return Artifact(self.format, precision, {"../model.linear": content})


@mistake("changed the source")
class ChangesTheSource(SoundConverter):
    def convert(self, source, precision, data):
        artifact = super().convert(source, precision, data)
        source.run = lambda inputs: {"scores": np.zeros((len(inputs["image"]), 5), np.float32)}
        return artifact


@mistake("returned NoneType|returned None")
class ReturnsNothing(SoundConverter):
    def convert(self, source, precision, data):
        super().convert(source, precision, data)
