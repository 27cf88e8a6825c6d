"""Metadata of a ``.tflite`` file: its TFLite Metadata, and the last operators of its graph.

Field numbers are those of TensorFlow's ``schema.fbs`` and of TFLite Support's
``metadata_schema.fbs`` (version 1.1.0). The metadata is a flatbuffer of its own within the
model's; the label files that it names are in a zip archive appended to the model.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription
from edgevision.system.flatbuffer import DamagedError, Flatbuffer
from edgevision_tflite.integrity import invalid

_METADATA_NAME = "TFLITE_METADATA"
_DETECTION = "TFLite_Detection_PostProcess"
#: Settings of decoder ``tflite-ssd``, in the order of that operator's outputs.
_DETECTION_ROLES = ("boxes", "classes", "scores", "count")
_MOST_LABEL_BYTES = 16_000_000

# BuiltinOperator
_CONV_2D, _FULLY_CONNECTED, _LOGISTIC, _SOFTMAX, _LOG_SOFTMAX = 3, 9, 14, 25, 50
_DEQUANTIZE, _RESHAPE, _SQUEEZE, _CAST, _QUANTIZE = 6, 22, 43, 53, 114
_PASS_VALUES_ON = frozenset({_DEQUANTIZE, _RESHAPE, _SQUEEZE, _CAST, _QUANTIZE})
_SCORE_KINDS = {_SOFTMAX: "softmax", _LOGISTIC: "sigmoid", _LOG_SOFTMAX: "logits"}
# Operators that return logits unless an activation is fused into them -> the field with the activation.
_FUSED_ACTIVATION = {_CONV_2D: 3, _FULLY_CONNECTED: 0}

# AssociatedFileType and ProcessUnitOptions
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_NORMALIZATION = 1


def describe(artifact: Artifact) -> ArtifactDescription:
    """The metadata of a TFLite artifact; empty fields where it has none.

    Raises:
        ArtifactError: the model, its metadata, or the archive with its labels is damaged.
    """
    try:
        return _describe(artifact.content)
    except DamagedError as error:
        raise invalid(artifact, error) from error


def _describe(content: bytes) -> ArtifactDescription:
    model = Flatbuffer(content, b"TFL3")
    graphs = model.tables(model.root, 2)
    if not graphs:
        raise DamagedError("the model has no graph")
    graph = _Graph(model, graphs[0])
    metadata = _read_metadata(model, content)
    normalization = metadata and metadata.normalization()
    return ArtifactDescription(
        labels=_read_labels(content, metadata.label_file()) if metadata else None,
        value_range=(0.0, 255.0) if normalization else None,
        mean=normalization.mean if normalization else None,
        scale=normalization.scale if normalization else None,
        score_kind=graph.score_kind(),
        task=graph.task(),
        decoder="tflite-ssd" if graph.task() == "detect" else None,
        output_places=graph.detection_places(),
    )


class _Graph(NamedTuple):
    """The first graph of a model."""

    model: Flatbuffer
    position: int

    def task(self) -> str | None:
        """``detect`` for the outputs of the detection operator, ``classify`` for one output of scores."""
        outputs = self._outputs()
        producer = self._producer(outputs[0]) if outputs else None
        if producer is not None and self._custom_code(producer) == _DETECTION:
            return "detect" if len(outputs) == 4 else None
        return "classify" if len(outputs) == 1 and self._rank(outputs[0]) in (1, 2) else None

    def detection_places(self) -> dict[str, int]:
        """Output of the detection operator -> its index among the graph's outputs; empty without one."""
        if self.task() != "detect":
            return {}
        outputs = self._outputs()
        producer = self._producer(outputs[0])
        tensors = self.model.numbers(producer, 2, "i") if producer is not None else ()
        if sorted(tensors) != sorted(outputs):
            raise DamagedError(f"the outputs are not the four of {_DETECTION}")
        return {role: outputs.index(tensor) for role, tensor in zip(_DETECTION_ROLES, tensors, strict=True)}

    def score_kind(self) -> str | None:
        """Type of the only output, according to the last operator that changes values."""
        outputs = self._outputs()
        if len(outputs) != 1:
            return None
        operator = self._producer(outputs[0])
        while operator is not None and self._code(operator) in _PASS_VALUES_ON:
            inputs = self.model.numbers(operator, 1, "i")
            operator = self._producer(inputs[0]) if inputs else None
        if operator is None:
            return None
        code = self._code(operator)
        return _SCORE_KINDS.get(code) or self._logits(operator, code)

    def _logits(self, operator: int, code: int) -> str | None:
        if code not in _FUSED_ACTIVATION:
            return None
        options = self.model.table(operator, 4)
        fused = 0 if options is None else self.model.scalar(options, _FUSED_ACTIVATION[code], "b")
        return None if fused else "logits"

    def _outputs(self) -> tuple[int, ...]:
        return self.model.numbers(self.position, 2, "i")

    def _producer(self, tensor: int) -> int | None:
        for operator in reversed(self.model.tables(self.position, 3)):
            if tensor in self.model.numbers(operator, 2, "i"):
                return operator
        return None

    def _rank(self, tensor: int) -> int:
        return len(self.model.numbers(_at(self.model.tables(self.position, 0), tensor), 0, "i"))

    def _code_table(self, operator: int) -> int:
        codes = self.model.tables(self.model.root, 1)
        return _at(codes, self.model.scalar(operator, 0, "I"))

    def _code(self, operator: int) -> int:
        # Codes above 127 do not fit in the older, one-byte field.
        table = self._code_table(operator)
        return max(self.model.scalar(table, 0, "b"), self.model.scalar(table, 3, "i"))

    def _custom_code(self, operator: int) -> str:
        return self.model.text(self._code_table(operator), 1)


class _Normalization(NamedTuple):
    mean: tuple[float, ...]
    scale: tuple[float, ...]


class _Metadata(NamedTuple):
    """TFLite Metadata of a model's first graph."""

    metadata: Flatbuffer
    graph: int

    def normalization(self) -> _Normalization | None:
        """Normalization of the input, if there is exactly one input."""
        inputs = self.metadata.tables(self.graph, 2)
        if len(inputs) != 1:
            return None
        for unit in self.metadata.tables(inputs[0], 4):
            options = self.metadata.table(unit, 1)
            if self.metadata.scalar(unit, 0, "B") == _NORMALIZATION and options is not None:
                return _normalization(*(self.metadata.numbers(options, field, "f") for field in (0, 1)))
        return None

    def label_file(self) -> str | None:
        """Name of the label file of an output: one without a language, else the first."""
        files = sorted(self._label_files())
        return files[0][2] if files else None

    def _label_files(self) -> Iterator[tuple[bool, int, str]]:
        read = self.metadata
        tensors = read.tables(self.graph, 3)
        files = [file for tensor in tensors for file in read.tables(tensor, 6)]
        for place, file in enumerate(files):
            if read.scalar(file, 2, "b") in (_AXIS_LABELS, _VALUE_LABELS):
                yield bool(read.text(file, 3)), place, read.text(file, 0)


def _read_metadata(model: Flatbuffer, content: bytes) -> _Metadata | None:
    for entry in model.tables(model.root, 6):
        if model.text(entry, 0) == _METADATA_NAME:
            buffer = _at(model.tables(model.root, 4), model.scalar(entry, 1, "I"))
            metadata = Flatbuffer(_buffer_content(model, buffer, content), b"M001")
            graphs = metadata.tables(metadata.root, 3)
            return _Metadata(metadata, graphs[0]) if graphs else None
    return None


def _buffer_content(model: Flatbuffer, buffer: int, content: bytes) -> bytes:
    # Models of more than 2 GB keep their buffers behind the flatbuffer.
    start, size = model.scalar(buffer, 1, "Q"), model.scalar(buffer, 2, "Q")
    return content[start : start + size] if start > 1 else model.content(buffer, 0)


def _normalization(mean: tuple[float, ...], std: tuple[float, ...]) -> _Normalization:
    valid = all(len(values) in (1, 3) and all(map(math.isfinite, values)) for values in (mean, std))
    if not valid or 0 in std:
        raise DamagedError(f"invalid mean {mean} or standard deviation {std} in its metadata")
    return _Normalization(mean, std)


def _read_labels(content: bytes, name: str | None) -> tuple[str, ...] | None:
    if name is None:
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            lines = _read_member(archive, name).decode("utf-8").splitlines()
    except _ZIP_ERRORS as error:
        raise DamagedError(f"label file '{name}' cannot be read: {error}") from error
    labels = [line.strip() for line in lines]
    while labels and not labels[-1]:
        labels.pop()
    return tuple(labels)


def _read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is compressed, and not by deflate")
    if member.file_size > _MOST_LABEL_BYTES:
        raise ValueError(f"it has {member.file_size} bytes, more than {_MOST_LABEL_BYTES}")
    with archive.open(member) as file:
        return file.read(_MOST_LABEL_BYTES)


# All that zipfile was seen to raise for damaged archives; KeyError: no file of that name.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    ValueError,
)


def _at(positions: list[int], index: int) -> int:
    if not 0 <= index < len(positions):
        raise DamagedError(f"a reference to number {index} of {len(positions)}")
    return positions[index]
