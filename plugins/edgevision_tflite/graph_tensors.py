"""What a TFLite model takes and gives, and whether it is whole, read without an interpreter.

Field numbers are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

from typing import NamedTuple

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.tensors import Quantization
from edgevision_tflite.flatbuffer import DamagedError, Flatbuffer


class GraphTensor(NamedTuple):
    """An input or output of a model.

    Attributes:
        tensor_name: in the graph, such as ``serving_default_image:0``.
        name: in the model's only signature, such as ``image``; `tensor_name` if it has none.
        quantization: how its integers stand for real numbers, or ``None``.
    """

    tensor_name: str
    name: str
    quantization: Quantization | None


def read_tensors(artifact: Artifact) -> tuple[list[GraphTensor], list[GraphTensor]]:
    """The inputs and the outputs of a model's first graph, in the graph's order.

    Raises:
        ArtifactError: the model is damaged.
    """
    try:
        model = Flatbuffer(artifact.content, b"TFL3")
        graph = model.tables(model.root, 2)[0]
        return _side(model, graph, 1, 0), _side(model, graph, 2, 1)
    except (DamagedError, IndexError) as error:
        raise _damaged(artifact, error) from error


def check_whole(artifact: Artifact) -> None:
    """Follow every reference in a model to its end: tflite-runtime 2.14 crashes on one that is cut.

    Raises:
        ArtifactError: the model is damaged.
    """
    try:
        model = Flatbuffer(artifact.content, b"TFL3")
        for code in model.tables(model.root, 1):
            model.text(code, 1)
        for buffer in model.tables(model.root, 4):
            model.content(buffer, 0)
        graphs = model.tables(model.root, 2)
        if not graphs:
            raise DamagedError("it has no graph")
        for graph in graphs:
            _check_graph(model, graph)
    except DamagedError as error:
        raise _damaged(artifact, error) from error


def _check_graph(model: Flatbuffer, graph: int) -> None:
    for tensor in model.tables(graph, 0):
        model.numbers(tensor, 0, "i")
        model.numbers(tensor, 7, "i")
        model.text(tensor, 3)
        _quantization(model, tensor)
    for operator in model.tables(graph, 3):
        model.numbers(operator, 1, "i")
        model.numbers(operator, 2, "i")
        model.content(operator, 5)
        options = model.table(operator, 4)
        if options is not None:
            model.scalar(options, 0, "b")


def _side(model: Flatbuffer, graph: int, graph_field: int, signature_field: int) -> list[GraphTensor]:
    indices = model.numbers(graph, graph_field, "i")
    names = _signature_names(model, signature_field)
    if sorted(names) != sorted(indices):
        names = {}
    tensors = model.tables(graph, 0)
    found = []
    for index in indices:
        tensor_name = model.text(tensors[index], 3)
        name = names.get(index, tensor_name)
        found.append(GraphTensor(tensor_name, name, _quantization(model, tensors[index])))
    return found


def _signature_names(model: Flatbuffer, field: int) -> dict[int, str]:
    signatures = model.tables(model.root, 7)
    if len(signatures) != 1:
        return {}
    maps = model.tables(signatures[0], field)
    return {model.scalar(entry, 1, "I"): model.text(entry, 0) for entry in maps}


def _quantization(model: Flatbuffer, tensor: int) -> Quantization | None:
    parameters = model.table(tensor, 4)
    if parameters is None:
        return None
    scales, zeros = model.numbers(parameters, 2, "f"), model.numbers(parameters, 3, "q")
    # One scale for each channel has no place at the border, and occurs in weights alone.
    if len(scales) != 1 or not scales[0]:
        return None
    return Quantization(float(scales[0]), int(zeros[0]) if zeros else 0)


def _damaged(artifact: Artifact, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{artifact.name}: is no TFLite model, or is damaged: {error}; copy or convert it again"
    )
