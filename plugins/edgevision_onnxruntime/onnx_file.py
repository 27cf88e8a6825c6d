"""Properties of an ONNX file, read from its bytes without the package `onnx`."""

from __future__ import annotations

from collections.abc import Iterator

# Field numbers of onnx.proto3.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DATA_TYPE = 2
_FLOAT16 = 10


def holds_float16(content: bytes) -> bool:
    """Return whether any weight is float16, so that a runtime true to the graph computes in float16."""
    for field, graph in fields(memoryview(content)):
        if field == _MODEL_GRAPH and isinstance(graph, memoryview) and any(map(_is_float16, _weights(graph))):
            return True
    return False


def is_quantized(content: bytes) -> bool:
    """Return whether the graph contains int8 arithmetic, as pairs of quantize and dequantize nodes."""
    return b"DequantizeLinear" in content


def _weights(graph: memoryview) -> Iterator[memoryview]:
    for field, value in fields(graph):
        if field == _GRAPH_INITIALIZER and isinstance(value, memoryview):
            yield value


def _is_float16(tensor: memoryview) -> bool:
    return any(field == _TENSOR_DATA_TYPE and value == _FLOAT16 for field, value in fields(tensor))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field of a protobuf message; https://protobuf.dev/programming-guides/encoding."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
        elif kind == 2:
            length, position = _varint(message, position)
            yield key >> 3, message[position : position + length]
            position += length
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        else:
            return


def spans(message: memoryview) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each field of a protobuf message, end excluded: together they are all of it."""
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            _, position = _varint(message, position)
        elif kind == 2:
            length, position = _varint(message, position)
            position += length
        else:
            position = position + {1: 8, 5: 4}[kind] if kind in (1, 5) else len(message)
        yield key >> 3, start, min(position, len(message))


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, position
