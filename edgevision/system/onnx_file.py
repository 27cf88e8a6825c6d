"""ONNX files, read and completed from untrusted bytes without the package `onnx`.

Weights may lie in other files (external data), whose names a file says itself. Runtimes that load a model
from memory look for them in the working directory, so they are put into the model first.

Field numbers are those of ``onnx.proto3``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from edgevision.errors import ArtifactError
from edgevision.system.protobuf import Field, WireError, encoded, fields, integer, submessages, text

_GRAPH, _PROPERTIES, _FUNCTIONS = 7, 14, 25
_NODE, _INITIALIZER, _SPARSE, _INPUT, _OUTPUT = 1, 5, 15, 11, 12
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_EXTERNAL = 1
#: Protobuf's limit of a message.
_MOST_BYTES = 2**31 - 1
_DEEPEST = 50

#: Kind of message -> number of a field -> kind of message that it holds; down to every tensor.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {_GRAPH: "graph", _FUNCTIONS: "function"},
    "graph": {_NODE: "node", _INITIALIZER: "tensor", _SPARSE: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


class Operation(NamedTuple):
    """An operation of a graph.

    Attributes:
        kind: such as ``Softmax``.
        inputs, outputs: names of its tensors.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OnnxGraph(NamedTuple):
    """The main graph of a model, without its weights.

    Attributes:
        operations: in the order of the file.
        inputs, outputs: names of its tensors; inputs without those that have weights.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def properties(content: bytes) -> dict[str, str]:
    """The model's ``metadata_props``.

    Raises:
        WireError: the bytes are not an ONNX file, or a property is there twice with different values.
    """
    found: dict[str, str] = {}
    for name, value in property_pairs(content):
        if found.setdefault(name, value) != value:
            raise WireError(f"the property '{name[:80]}' is there twice, with different values")
    return found


def property_pairs(content: bytes) -> Iterator[tuple[str, str]]:
    """The key and the value of each of the model's ``metadata_props``, in the order of the file.

    Raises:
        WireError: the bytes are not an ONNX file.
    """
    for entry in submessages(memoryview(content), _PROPERTIES):
        yield text(entry, 1), text(entry, 2)


def with_properties(content: bytes, added: Mapping[str, str], without: Callable[[str], bool]) -> bytes:
    """The model with further ``metadata_props``.

    Args:
        content: the model.
        added: key -> value.
        without: True for the key of a property that is left out.

    Raises:
        WireError: the bytes are not an ONNX file.
    """

    def kept(number: int, value: memoryview) -> bytes | None:
        return b"" if number == _PROPERTIES and without(text(value, 1)) else None

    new = [
        encoded(_PROPERTIES, encoded(1, key.encode()) + encoded(2, value.encode()))
        for key, value in added.items()
    ]
    return b"".join([*_edited(memoryview(content), kept), *new])


def output_names(content: bytes) -> list[str]:
    """The names of the outputs of the main graph.

    Raises:
        WireError: the bytes are not an ONNX file.
    """
    graphs = submessages(memoryview(content), _GRAPH)
    return [text(value, 1) for graph in graphs for value in submessages(graph, _OUTPUT)]


def read_graph(content: bytes) -> OnnxGraph:
    """The operations of the main graph.

    Raises:
        WireError: the bytes are not an ONNX file.
    """
    for graph in submessages(memoryview(content), _GRAPH):
        weights = {text(tensor, 8) for tensor in submessages(graph, _INITIALIZER)}
        inputs = tuple(text(value, 1) for value in submessages(graph, _INPUT))
        return OnnxGraph(
            tuple(_operation(node) for node in submessages(graph, _NODE)),
            tuple(name for name in inputs if name not in weights),
            tuple(text(value, 1) for value in submessages(graph, _OUTPUT)),
        )
    raise WireError("it holds no graph")


def external_files(content: bytes) -> list[str]:
    """The names of the files that hold weights of a model, in the file's order, as it says them.

    Raises:
        WireError: the bytes are not an ONNX file.
    """
    if b"location" not in content:  # the key of the name: most files are not searched for it
        return []
    names: dict[str, None] = {}
    for tensor in _tensors(memoryview(content), "model", 0):
        if integer(tensor, _DATA_LOCATION) == _EXTERNAL:
            names[_external(tensor).get("location", "")] = None
    return list(names)


def relative_name(name: str) -> str:
    """The name of a file below the model's folder, without ``./``.

    Raises:
        WireError: it is absolute, leads out of the folder, or is no name at all.
    """
    path = PurePosixPath(name)
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or ":" in name
    ):
        raise WireError(f"weights in {name[:200]!r}: expected a file beside the model or below its folder")
    return str(path)


def with_weights(content: bytes, files: Mapping[str, bytes]) -> bytes:
    """The model with all weights in itself; `content` if they are already.

    Args:
        content: the model.
        files: name of each other file, as `relative_name` gives it -> its content.

    Raises:
        WireError: a file is missing or too short, or the whole exceeds the 2 GB of a protobuf message.
    """
    if not external_files(content):
        return content
    rewritten = _rewritten(memoryview(content), "model", lambda tensor: _filled(tensor, files), 0)
    if len(rewritten) > _MOST_BYTES:
        raise WireError(f"model and weights have {len(rewritten)} bytes, more than the {_MOST_BYTES} of ONNX")
    return rewritten


def complete(files: Mapping[str, bytes]) -> bytes:
    """An artifact's model with all weights in itself, for a runtime that loads it from memory.

    Args:
        files: of the artifact, the model first.

    Raises:
        ArtifactError: the model is damaged, or names a file that is not one of the artifact's.
    """
    model, content = next(iter(files.items()))
    try:
        return with_weights(content, files)
    except WireError as error:
        raise invalid(model, error) from error


def invalid(name: str, error: WireError) -> ArtifactError:
    """The error for a file that is not an ONNX model, or lacks a part."""
    return ArtifactError(
        f"{name}: not a complete ONNX model: {error}; copy it again with every file that belongs to it"
    )


def with_sizes(content: bytes, name: str, sizes: tuple[int | None, ...]) -> bytes:
    """The model with sizes of an input fixed.

    Args:
        content: the model.
        name: of the input.
        sizes: one per dimension; `None` leaves one as it is.

    Raises:
        WireError: the bytes are not an ONNX file.
    """

    def fixed_input(value: memoryview) -> bytes:
        if text(value, 1) != name:
            return bytes(value)
        return _replaced(value, [2, 1, 2], lambda shape: _fixed_shape(shape, sizes))

    return _replaced(memoryview(content), [_GRAPH, _INPUT], fixed_input)


def _operation(node: memoryview) -> Operation:
    names: dict[int, list[str]] = {1: [], 2: []}
    kind = ""
    for field in fields(node):
        if isinstance(field.value, memoryview) and field.number in (1, 2, 4):
            word = bytes(field.value).decode("utf-8", "replace")
            if field.number == 4:
                kind = word
            else:
                names[field.number].append(word)
    return Operation(kind, tuple(names[1]), tuple(names[2]))


def _tensors(message: memoryview, kind: str, depth: int) -> Iterator[memoryview]:
    if kind == "tensor":
        yield message
        return
    _check_depth(depth)
    children = _CHILDREN[kind]
    for field in fields(message):
        if field.number in children and isinstance(field.value, memoryview):
            yield from _tensors(field.value, children[field.number], depth + 1)


def _external(tensor: memoryview) -> dict[str, str]:
    return {text(entry, 1): text(entry, 2) for entry in submessages(tensor, _EXTERNAL_DATA)}


def _rewritten(message: memoryview, kind: str, fill: Callable[[memoryview], bytes], depth: int) -> bytes:
    """A message with every tensor in it replaced."""
    if kind == "tensor":
        return fill(message)
    _check_depth(depth)
    children = _CHILDREN[kind]

    def rewritten(number: int, value: memoryview) -> bytes | None:
        child = children.get(number)
        return None if child is None else encoded(number, _rewritten(value, child, fill, depth + 1))

    return b"".join(_edited(message, rewritten))


def _filled(tensor: memoryview, files: Mapping[str, bytes]) -> bytes:
    """A tensor with its weights in itself."""
    if integer(tensor, _DATA_LOCATION) != _EXTERNAL:
        return bytes(tensor)
    external = _external(tensor)
    name = relative_name(external.get("location", ""))
    if name not in files:
        raise WireError(f"its weights are in '{name}', which is not there")
    content = files[name]
    try:
        offset, length = int(external.get("offset") or 0), external.get("length")
        end = len(content) if not length else offset + int(length)
    except ValueError as error:
        raise WireError(f"expected numbers for the place in '{name}': {error}") from error
    if not 0 <= offset <= end <= len(content):
        raise WireError(f"weights at bytes {offset} to {end} of '{name}', which has {len(content)}")
    kept = [
        tensor[field.start : field.end]
        for field in fields(tensor)
        if field.number not in (_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION)
    ]
    return b"".join([*kept, encoded(_RAW_DATA, content[offset:end])])


def _replaced(message: memoryview, way: list[int], edit: Callable[[memoryview], bytes]) -> bytes:
    """A message with the messages at the end of a way of field numbers replaced."""
    if not way:
        return edit(message)

    def replaced(number: int, value: memoryview) -> bytes | None:
        return encoded(number, _replaced(value, way[1:], edit)) if number == way[0] else None

    return b"".join(_edited(message, replaced))


def _edited(
    message: memoryview, edit: Callable[[int, memoryview], bytes | None]
) -> Iterator[bytes | memoryview]:
    """The parts of a message in which fields are replaced by what `edit` gives; `None` leaves a field."""
    end = 0
    for field in fields(message):
        new = edit(field.number, field.value) if isinstance(field.value, memoryview) else None
        if new is not None:
            yield from (message[end : field.start], new)
            end = field.end
    yield message[end:]


def _fixed_shape(shape: memoryview, sizes: tuple[int | None, ...]) -> bytes:
    dimensions: list[Field] = [field for field in fields(shape) if field.number == 1]
    if len(dimensions) != len(sizes):
        raise WireError(f"an input with {len(dimensions)} dimensions, expected {len(sizes)}")
    parts = []
    for field, size in zip(dimensions, sizes, strict=True):
        old = bytes(shape[field.start : field.end])
        parts.append(old if size is None else encoded(1, encoded(1, size)))
    return b"".join(parts)


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise WireError(f"graphs within graphs, more than {_DEEPEST} deep")
