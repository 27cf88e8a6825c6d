"""Properties of an ONNX file, read from its bytes without the package `onnx`."""

from __future__ import annotations

from edgevision.system.protobuf import WireError, integer, submessages

# Field numbers of onnx.proto3.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DATA_TYPE = 2
_FLOAT16 = 10


def holds_float16(content: bytes) -> bool:
    """Return whether any weight is float16, so that a runtime true to the graph computes in float16."""
    try:
        return any(
            integer(tensor, _TENSOR_DATA_TYPE) == _FLOAT16
            for graph in submessages(memoryview(content), _MODEL_GRAPH)
            for tensor in submessages(graph, _GRAPH_INITIALIZER)
        )
    except WireError:  # the runtime refuses it
        return False


def is_quantized(content: bytes) -> bool:
    """Return whether the graph contains int8 arithmetic, as pairs of quantize and dequantize nodes."""
    return b"DequantizeLinear" in content
