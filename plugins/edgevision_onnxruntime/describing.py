"""The description of a model in an ONNX file's ``metadata_props``, without the package `onnx`.

A protobuf message may be written field by field: properties are appended to the file, and those of an
earlier description are cut out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from edgevision.artifact import Artifact
from edgevision.description import KEY, DescribedArtifact, ModelDescription, description_from_json
from edgevision.descriptions.written import left_out, model_api_description, ultralytics_description
from edgevision.errors import ArtifactError
from edgevision.system.protobuf import WireError, encoded, fields, submessages, text

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
    content = artifact.content
    outputs = output_names(artifact)
    added = {KEY: description.to_json()}
    model_api = model_api_description(description, outputs)
    notes = list(model_api.notes)
    if model_api.obstacles:
        notes.append(left_out("OpenVINO Model API", model_api.obstacles))
    added.update({_MODEL_INFO + name: value for name, value in model_api.values.items()})
    ultralytics = ultralytics_description(description, outputs, "pixels", "nchw")
    if ultralytics is not None and ultralytics.obstacles:
        notes.append(left_out("Ultralytics", ultralytics.obstacles))
    elif ultralytics is not None:
        added.update(ultralytics.values)
    try:
        written = with_properties(content, added)
    except WireError as error:
        raise _invalid(artifact, error) from error
    return DescribedArtifact(replace(artifact, files={artifact.name: written}), tuple(notes))


def read_description(artifact: Artifact) -> ModelDescription | None:
    """As `edgevision.description.SelfDescribingFormat.read_description`."""
    try:
        found = dict(properties(artifact.content)).get(KEY)
    except WireError as error:
        raise _invalid(artifact, error) from error
    return None if found is None else description_from_json(found.encode(), artifact.name)


def output_names(artifact: Artifact) -> list[str]:
    """Names of the outputs of the graph.

    Raises:
        ArtifactError: the file is damaged.
    """
    try:
        return [
            text(output, _VALUE_NAME)
            for graph in submessages(memoryview(artifact.content), _MODEL_GRAPH)
            for output in submessages(graph, _GRAPH_OUTPUT)
        ]
    except WireError as error:
        raise _invalid(artifact, error) from error


def properties(content: bytes) -> Iterator[tuple[str, str]]:
    """The (key, value) of each property of a file; of two of one key the later counts.

    Raises:
        WireError: the file is damaged.
    """
    for entry in submessages(memoryview(content), _MODEL_METADATA):
        yield text(entry, _ENTRY_KEY), text(entry, _ENTRY_VALUE)


def with_properties(content: bytes, added: Mapping[str, str]) -> bytes:
    """A file with these properties, instead of those of an earlier description.

    Raises:
        WireError: the file is damaged.
    """
    ours = [
        field
        for field in fields(memoryview(content))
        if field.number == _MODEL_METADATA
        and isinstance(field.value, memoryview)
        and _is_ours(text(field.value, _ENTRY_KEY))
    ]
    starts, ends = [0, *(field.end for field in ours)], [*(field.start for field in ours), len(content)]
    kept = b"".join(content[start:end] for start, end in zip(starts, ends, strict=True))
    entries = [
        encoded(_ENTRY_KEY, key.encode()) + encoded(_ENTRY_VALUE, value.encode())
        for key, value in added.items()
    ]
    return kept + b"".join(encoded(_MODEL_METADATA, entry) for entry in entries)


def _is_ours(key: str) -> bool:
    return key == KEY or key.startswith(_MODEL_INFO) or key in _ULTRALYTICS


def _invalid(artifact: Artifact, error: WireError) -> ArtifactError:
    return ArtifactError(f"{artifact.name}: not a valid ONNX model: {error}; copy or convert it again")
