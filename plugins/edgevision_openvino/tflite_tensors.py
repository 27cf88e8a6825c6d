"""Names and quantization of a TFLite model's inputs and outputs, which OpenVINO does not report.

Field numbers are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

from typing import NamedTuple

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.system.flatbuffer import DamagedError, Flatbuffer
from edgevision.tensors import Quantization


class TFLiteTensor(NamedTuple):
    """An input or output of a TFLite model.

    Attributes:
        tensor_name: in the graph, such as ``serving_default_image:0``.
        name: in the model's only signature, such as ``image``; `tensor_name` if there is none.
        quantization: how its integers stand for real numbers; ``None`` for real numbers themselves.
    """

    tensor_name: str
    name: str
    quantization: Quantization | None


def read_tensors(artifact: Artifact) -> tuple[list[TFLiteTensor], list[TFLiteTensor]]:
    """The inputs and the outputs of a model's first graph, in the graph's order.

    Raises:
        ArtifactError: the model is damaged.
    """
    try:
        model = Flatbuffer(artifact.content, b"TFL3")
        graph = model.tables(model.root, 2)[0]
        return _read_side(model, graph, 1, 0), _read_side(model, graph, 2, 1)
    except (DamagedError, IndexError) as error:
        raise ArtifactError(
            f"{artifact.name}: not a valid TFLite model (truncated or corrupted?): {error}; "
            "copy or convert it again"
        ) from error


def _read_side(model: Flatbuffer, graph: int, graph_field: int, signature_field: int) -> list[TFLiteTensor]:
    indices = model.numbers(graph, graph_field, "i")
    names = _signature_names(model, signature_field)
    if sorted(names) != sorted(indices):
        names = {}
    tables = model.tables(graph, 0)
    tensors = []
    for index in indices:
        tensor_name = model.text(tables[index], 3)
        name = names.get(index, tensor_name)
        tensors.append(TFLiteTensor(tensor_name, name, _quantization(model, tables[index])))
    return tensors


def _signature_names(model: Flatbuffer, field: int) -> dict[int, str]:
    """Index of a tensor -> its name in the only signature; empty if there are several or none."""
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
    # One scale per channel occurs in weights alone, never in an input or output.
    if len(scales) != 1 or not scales[0]:
        return None
    return Quantization(float(scales[0]), int(zeros[0]) if zeros else 0)
