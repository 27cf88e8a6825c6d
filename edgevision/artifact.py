"""An artifact: what a runtime loads, as the very bytes whose digest was checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.errors import ArtifactError, OptionError

#: Format of an artifact -> suffixes of its files, the one that names the artifact first.
FORMATS: dict[str, tuple[str, ...]] = {
    "tflite": (".tflite",),
    "openvino": (".xml", ".bin"),
    "onnx": (".onnx",),
}

#: Every precision an artifact can have, from the most expensive to the cheapest.
PRECISIONS: dict[str, str] = {
    "float32": "weights and activations float32",
    "float16": "weights float16; activations float16 or float32, as the runtime decides",
    "int16x8": "weights int8, activations int16, calibrated",
    "int8-dynamic": "weights int8, activations computed in float at run time",
    "int8-mixed": "as int8, except some layers that stay float32; found by the search for a budget",
    "int8-float-io": "weights and activations int8, calibrated; input and output float32",
    "int8": "weights and activations int8, calibrated, except operations that the evidence names; "
    "for TFLite input and output int8 as well",
}

#: Precisions whose activations have ranges, and which therefore need a calibration set.
CALIBRATED = frozenset({"int16x8", "int8-mixed", "int8-float-io", "int8"})

#: Precision of an ``int8`` artifact that has some layers in float32.
MIXED = "int8-mixed"


@dataclass(frozen=True)
class FloatOperation:
    """An operation of an int8 artifact that is computed in float.

    Attributes:
        operation: the format's name of it, such as ``BATCH_MATMUL``.
        layer: the layer of the source that it belongs to; empty if unknown.
        reason: why, such as ``no int8 kernel`` or ``slower in int8``.
    """

    operation: str
    layer: str
    reason: str


@dataclass(frozen=True)
class QuantizationRecord:
    """How an int8 artifact was quantized, for its evidence.

    Attributes:
        recipe: ``edgevision``; ``plain``, the format's usual tool with its default settings; or a plugin's
            own.
        tool: that tool with its version, such as ``TFLiteConverter of TensorFlow 2.21.0``.
        range_rule: the rule that chose the ranges of activations; empty where the tool's own did.
        range_errors: rule -> mean squared error of the outputs before their activation (of the logits),
            relative to their variance, simulated on images held out of the calibration set.
        float_operations: the operations that are computed in float.
    """

    recipe: str
    tool: str
    range_rule: str = ""
    range_errors: Mapping[str, float] = field(default_factory=dict)
    float_operations: tuple[FloatOperation, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """One file, or an ``.xml`` and ``.bin`` pair, that a runtime loads.

    Attributes:
        format: ``tflite``, ``openvino`` or ``onnx``, or a format of a plugin.
        precision: one of `PRECISIONS`, or ``unknown`` for a bare file.
        files: file name -> content. The first names the artifact.
        quantization: how it was quantized, where its converter says so.
    """

    format: str
    precision: str
    files: Mapping[str, bytes] = field(repr=False)
    quantization: QuantizationRecord | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name of the first file."""
        return next(iter(self.files))

    @property
    def content(self) -> bytes:
        """The content of the first file."""
        return next(iter(self.files.values()))

    @property
    def sha256(self) -> str:
        """One digest over all files, without their names, in hex."""
        import hashlib  # not at the top: it loads OpenSSL

        digest = hashlib.sha256()
        for content in self.files.values():
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """The total size of all files."""
        return sum(map(len, self.files.values()))


def format_of(path: str | Path) -> str | None:
    """The format of a bare artifact, by the suffix of its name; ``None`` for any other file."""
    for name, suffixes in FORMATS.items():
        if Path(path).suffix.lower() == suffixes[0]:
            return name
    return None


def read_artifact(path: str | Path) -> Artifact:
    """Read a bare artifact, and the files that belong to it, into memory.

    Raises:
        OptionError: the suffix is not that of an artifact.
        ArtifactError: a file is missing or cannot be read.
    """
    path = Path(path)
    name = format_of(path)
    if name is None:
        known = ", ".join(suffixes[0] for suffixes in FORMATS.values())
        raise OptionError(
            f"{path}: expected a bundle (.evb) or an artifact ({known}); "
            "run edgevision convert to get a bundle from a trained model"
        )
    files = {}
    for suffix in FORMATS[name]:
        part = path.with_suffix(suffix) if suffix != path.suffix.lower() else path
        try:
            files[part.name] = part.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{part}: cannot be read: {error.strerror or error}") from error
    return Artifact(format=name, precision="unknown", files=files)
