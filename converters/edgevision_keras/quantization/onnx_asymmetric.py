"""int8 ONNX in the form that ONNX Runtime computes in integers on a CPU.

Activations are uint8 with a zero point, also those between a convolution and what follows, and biases int32:
the runtime joins an operation with the conversions around it to one integer kernel only if all of them are
there. With int8 activations it does not where two operations read one tensor.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from edgevision_keras.quantization.flow import FloatOperator
from edgevision_keras.quantization.folding import FoldedGraph
from edgevision_keras.quantization.onnx_float_model import OnnxFloatModel
from edgevision_keras.quantization.onnx_integer_operations import (
    FLOAT_RESULTS,
    NOT_TRAINED,
    REQUESTED,
    integer_operations,
)
from edgevision_keras.quantization.prepare import PreparedNetwork


def quantize(
    content: bytes, prepared: PreparedNetwork, graph: FoldedGraph, keep_float: Collection[str]
) -> tuple[Any, tuple[FloatOperator, ...]]:
    """Quantize a float32 file; what has no integer kernel or is slower in integers stays float.

    Args:
        content: `graph` as a float32 ONNX file.
        prepared: the network that `graph` was rounded from.
        graph: the graph with rounded weights.
        keep_float: names of layers that stay float.

    Returns:
        An `onnx.ModelProto`, and the operators between its integer ones that compute in float.
    """
    model = OnnxFloatModel(content)
    kept = dict.fromkeys(prepared.kept_in(model.weights(), keep_float), REQUESTED)
    ranges = model.ranges(prepared, graph, symmetric=False)
    if prepared.trained_ranges is not None:
        kept |= dict.fromkeys(model.without_ranges(ranges), NOT_TRAINED)
    chosen = integer_operations(model, kept)
    return model.quantized(chosen.names, ranges, FLOAT_RESULTS, symmetric=False), chosen.floats
