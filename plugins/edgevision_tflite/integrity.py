"""Check that a TFLite model is whole, and refers to nothing but itself, without an interpreter.

The interpreters follow offsets and numbers of tensors as they stand: what leads out of the file, or out of
the list of tensors, reads whatever lies in memory there, and ends the process or not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.system.flatbuffer import DamagedError, Flatbuffer, Layout, Union
from edgevision.tensors import MOST_TENSOR_BYTES

# Numbers of fields and tags are those of TensorFlow's and LiteRT's ``schema.fbs``.
_INDICES = Union(tag=2, layouts={1: {0: "i"}, 2: {0: "H"}, 3: {0: "B"}})
_SEGMENTS_AND_INDICES: Layout = {3: _INDICES, 5: Union(tag=4, layouts=_INDICES.layouts)}
_QUANTIZATION: Layout = {
    **{0: "f", 1: "f", 2: "f", 3: "q"},
    5: Union(tag=4, layouts={1: {0: "B"}, 2: {3: "i"}}),
}
_TENSOR: Layout = {
    **{0: "i", 3: "B", 4: _QUANTIZATION, 7: "i"},
    **{6: {0: "i", 1: "i", 2: [_SEGMENTS_AND_INDICES]}, 9: [{0: "i"}]},
}
#: Options with vectors: of ConcatEmbeddings, FullyConnected, Reshape, Squeeze, VarHandle and Bucketize.
_OPTIONS: dict[int, Layout] = {
    **{3: {1: "i", 2: "i"}, 8: {5: "B"}, 17: {0: "i"}, 30: {0: "i"}, 111: {0: "B", 1: "B"}, 115: {0: "f"}},
}
#: As `_OPTIONS`, of the operations of StableHLO.
_OPTIONS_2: dict[int, Layout] = {
    **{number: {0: "q"} for number in (2, 6, 9, 17)},
    **{number: {0: "q", 1: "q", 2: "q"} for number in (3, 10)},
    4: {0: "q", 1: "q", 2: "q", 3: "q", 4: "B", 7: "q", 10: "q", 13: "q", 16: "I"},
    5: {0: "B", 2: "B", 4: "i", 5: "B"},
    7: {1: "q", 2: "q", 3: "q"},
    12: {0: "q", 1: "q", 2: "q", 3: "q", 4: "I"},
    13: {0: "q", 1: "q", 2: "q", 3: "q", 4: "q"},
    16: {0: "q", 1: "q", 2: "q", 4: "q"},
    21: {0: "B", 2: "B"},
    23: {0: "i"},
}
_OPERATOR: Layout = {
    **{1: "i", 2: "i", 4: Union(tag=3, layouts=_OPTIONS), 5: "B", 7: "B", 8: "i"},
    12: Union(tag=11, layouts=_OPTIONS_2),
}
_TENSOR_NAME: Layout = {0: "B"}
_MODEL: Layout = {
    **{1: [{1: "B"}], 2: [{0: [_TENSOR], 1: "i", 2: "i", 3: [_OPERATOR], 4: "B"}], 3: "B", 4: [{0: "B"}]},
    **{5: "i", 6: [{0: "B"}], 7: [{0: [_TENSOR_NAME], 1: [_TENSOR_NAME], 2: "B"}]},
}
#: Fields of the model that name other files with weights.
_OTHER_FILES = (8, 9)
#: Bytes of a number -> the types of tensors with such numbers; the others have smaller ones.
_TYPES_OF_SIZE = {2: (1, 7, 16, 18), 4: (0, 2, 15), 8: (4, 8, 10, 12), 16: (11,)}
_BYTES = {kind: size for size, kinds in _TYPES_OF_SIZE.items() for kind in kinds}
#: In place of the number of a tensor: an input that an operation does without.
_NO_TENSOR = -1


def check_complete(artifact: Artifact) -> None:
    """Follow every reference in a model to its end.

    Raises:
        ArtifactError: the model is damaged, or its weights are in other files.
    """
    try:
        model = Flatbuffer(artifact.content, b"TFL3")
        model.check(_MODEL)
        if any(model.tables(model.root, field) for field in _OTHER_FILES):
            raise DamagedError("its weights are in other files")
        buffers = model.tables(model.root, 4)
        for buffer in buffers:  # of more than 2 GB: the content is behind the flatbuffer
            end = model.scalar(buffer, 1, "Q") + model.scalar(buffer, 2, "Q")
            _check_numbers("the end of a buffer", [end], len(artifact.content) + 1)
        graphs = model.tables(model.root, 2)
        if not graphs:
            raise DamagedError("the model has no graph")
        codes = len(model.tables(model.root, 1))
        for graph in graphs:
            _check_graph(model, graph, codes, len(buffers))
    except DamagedError as error:
        raise invalid(artifact, error) from error


def invalid(artifact: Artifact, reason: DamagedError | str) -> ArtifactError:
    """The error for a file that is not a TFLite model, or a damaged one."""
    return ArtifactError(
        f"{artifact.name}: not a valid TFLite model (truncated or corrupted?): {reason}; "
        "copy or convert it again"
    )


def _check_graph(model: Flatbuffer, graph: int, codes: int, buffers: int) -> None:
    """Check the numbers of tensors, operations and buffers."""
    tensors = model.tables(graph, 0)
    for tensor in tensors:
        _check_numbers("a buffer", [model.scalar(tensor, 2, "I")], buffers)
        _check_size(model, tensor)
    for field in (1, 2):
        _check_numbers("a tensor of the graph", model.numbers(graph, field, "i"), len(tensors))
    for operator in model.tables(graph, 3):
        _check_numbers("an operation", [model.scalar(operator, 0, "I")], codes)
        for field in (1, 2, 8):
            _check_numbers(
                "a tensor of an operation", model.numbers(operator, field, "i"), len(tensors), _NO_TENSOR
            )


def _check_size(model: Flatbuffer, tensor: int) -> None:
    """Refuse a tensor that a small file can declare, and that fills the memory when it is allocated."""
    sizes = model.numbers(tensor, 0, "i")
    size = math.prod(max(each, 1) for each in sizes) * _BYTES.get(model.scalar(tensor, 1, "b"), 1)
    if size > MOST_TENSOR_BYTES:
        shape = "x".join(map(str, sizes))
        raise DamagedError(
            f"a tensor of {shape:.100} takes {size} bytes, expected {MOST_TENSOR_BYTES} at most"
        )


def _check_numbers(what: str, numbers: Sequence[int], count: int, lowest: int = 0) -> None:
    """Check numbers of a list's elements."""
    for number in numbers:
        if not lowest <= number < count:
            raise DamagedError(f"{what} has number {number}, of {count}")
