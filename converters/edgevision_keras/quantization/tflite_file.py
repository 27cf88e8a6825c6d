"""The operators of a TFLite file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgevision.tensors import Array
from edgevision_keras.libraries import require
from edgevision_keras.quantization.flow import Operator

#: Operations that do not compute with the values of activations.
NOT_COMPUTED = frozenset({"SHAPE", "QUANTIZE", "DEQUANTIZE"})


def schema() -> Any:
    """The classes of the format."""
    return require("tensorflow.lite.python.schema_py_generated")


def parsed(content: bytes) -> Any:
    """A file as a `ModelT`."""
    return schema().ModelT.InitFromObj(schema().Model.GetRootAsModel(content, 0))


def packed(model: Any) -> bytes:
    """The file of a `ModelT`."""
    flatbuffers = require("flatbuffers")
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operators(model: Any, graph: Any | None = None) -> Iterator[Operator]:
    """The operators of a subgraph, in the order in which they run, by the name of their first output.

    Args:
        model: a `ModelT`.
        graph: one of its subgraphs; the first if omitted.
    """
    graph = model.subgraphs[0] if graph is None else graph
    numbers = vars(schema().BuiltinOperator).items()
    names = {number: name for name, number in numbers if name.isupper()}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        yield Operator(
            names[max(code.builtinCode, code.deprecatedBuiltinCode)],
            graph.tensors[operator.outputs[0]].name.decode() if len(operator.outputs) else "",
            tuple(int(index) for index in operator.inputs if index >= 0),
            tuple(int(index) for index in operator.outputs),
        )


def constants(model: Any) -> set[int]:
    """Indices of the tensors of the first subgraph that have constant values."""
    tensors = model.subgraphs[0].tensors
    return {index for index, tensor in enumerate(tensors) if model.buffers[tensor.buffer].data is not None}


def constant_values(model: Any, index: int) -> Array | None:
    """The values of a constant float32 tensor of the first subgraph, flat; `None` for other tensors."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type != schema().TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32)


def float_tensors(graph: Any) -> set[int]:
    """Indices of the float32 tensors of a subgraph."""
    kind = schema().TensorType.FLOAT32
    return {index for index, tensor in enumerate(graph.tensors) if tensor.type == kind}
