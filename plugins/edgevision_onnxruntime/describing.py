"""The description of a model in an ONNX file's ``metadata_props``, without the package `onnx`.

A protobuf message may be written field by field: properties are appended to the file, and those of an
earlier description are cut out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from edgevision.artifact import Artifact
from edgevision.description import KEY, DescribedArtifact, ModelDescription, description_from_json
from edgevision.errors import ArtifactError
from edgevision.interchange import left_out, model_api_description, ultralytics_description
from edgevision_onnxruntime.onnx_file import fields, spans

# Field numbers of onnx.proto3.
_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_OUTPUT, _VALUE_NAME = 12, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
#: Prefix of Model API's keys.
_MODEL_INFO = "model_info "
#: Ultralytics' keys, which an earlier description may have written.
_ULTRALYTICS = ("task", "names", "imgsz", "stride", "batch", "channels", "end2end")


def write_description(artifact: Artifact, description: ModelDescription) -> DescribedArtifact:
    """As `edgevision.description.SelfDescribingFormat.write_description`."""
    content, notes = artifact.content, []
    outputs = output_names(artifact)
    added = {KEY: description.to_json()}
    model_api = model_api_description(description, outputs)
    if model_api.obstacles:
        notes.append(left_out("OpenVINO Model API", model_api.obstacles))
    added.update({_MODEL_INFO + name: value for name, value in model_api.values.items()})
    ultralytics = ultralytics_description(description, outputs, "pixels")
    if ultralytics is not None and ultralytics.obstacles:
        notes.append(left_out("Ultralytics", ultralytics.obstacles))
    elif ultralytics is not None:
        added.update(ultralytics.values)
    written = with_properties(content, added)
    return DescribedArtifact(replace(artifact, files={artifact.name: written}), tuple(notes))


def read_description(artifact: Artifact) -> ModelDescription | None:
    """As `edgevision.description.SelfDescribingFormat.read_description`."""
    found = None
    for key, value in properties(artifact.content):
        if key == KEY:
            found = value
    return None if found is None else description_from_json(found, artifact.name)


def output_names(artifact: Artifact) -> list[str]:
    """Names of the outputs of the graph.

    Raises:
        ArtifactError: the file is damaged.
    """
    try:
        return [
            _text(value, _VALUE_NAME)
            for number, graph in fields(memoryview(artifact.content))
            if number == _MODEL_GRAPH and isinstance(graph, memoryview)
            for part, value in fields(graph)
            if part == _GRAPH_OUTPUT and isinstance(value, memoryview)
        ]
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{artifact.name}: is not a valid ONNX model: {error}; copy it again") from error


def properties(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The (key, value) of each property of a file; of two of one key the later counts."""
    for number, entry in fields(memoryview(content)):
        if number == _MODEL_METADATA and isinstance(entry, memoryview):
            yield _text(entry, _ENTRY_KEY, "replace"), _bytes(entry, _ENTRY_VALUE)


def with_properties(content: bytes, added: Mapping[str, str]) -> bytes:
    """A file with these properties, instead of those of an earlier description."""
    kept = bytearray()
    for number, start, end in spans(memoryview(content)):
        if number == _MODEL_METADATA and _is_ours(_property_key(content[start:end])):
            continue
        kept += content[start:end]
    for key, value in added.items():
        entry = _field(_ENTRY_KEY, key.encode()) + _field(_ENTRY_VALUE, value.encode())
        kept += _field(_MODEL_METADATA, entry)
    return bytes(kept)


def _is_ours(key: str) -> bool:
    return key == KEY or key.startswith(_MODEL_INFO) or key in _ULTRALYTICS


def _property_key(field: bytes) -> str:
    return next((key for key, _ in properties(field)), "")


def _text(message: memoryview, number: int, errors: str = "strict") -> str:
    return _bytes(message, number).decode("utf-8", errors)


def _bytes(message: memoryview, number: int) -> bytes:
    return next(
        (bytes(value) for part, value in fields(message) if part == number and isinstance(value, memoryview)),
        b"",
    )


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes, with its number and length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
