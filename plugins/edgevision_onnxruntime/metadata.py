"""Metadata of an ONNX file: its properties, and the end of its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription
from edgevision.descriptions.merging import merged
from edgevision.descriptions.model_api import describe_model_api
from edgevision.descriptions.ultralytics import describe_ultralytics, is_ultralytics
from edgevision.system.onnx_file import OnnxGraph, invalid, properties, read_graph
from edgevision.system.protobuf import WireError

_WHERE = "metadata_props"
_MODEL_API = "model_info"

_SCORE_KINDS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "logits"}
_LINEAR = frozenset({"Gemm", "MatMul", "Conv"})
#: Operations that leave the kind of a score as it is, the sum with a bias included.
_PASS_ON = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "DequantizeLinear"})
_PASS_ON_TOO = frozenset({"QuantizeLinear", "Transpose"})


def describe(artifact: Artifact) -> ArtifactDescription:
    """The metadata of an ONNX artifact; empty fields where it has none.

    Raises:
        ArtifactError: the file is damaged.
    """
    try:
        stated, graph = properties(artifact.content), read_graph(artifact.content)
    except WireError as error:
        raise invalid(artifact.name, error) from error
    description = _described(stated)
    kind = _score_kind(graph, description.side_outputs)
    return description if kind is None else replace(description, score_kind=kind)


def _described(stated: dict[str, str]) -> ArtifactDescription:
    description = ArtifactDescription()
    if is_ultralytics(stated):
        description = describe_ultralytics(stated, f"{_WHERE} of Ultralytics")
    # Model API takes the path to an entry as one name, with blanks.
    info = {
        words[1]: text
        for name, text in stated.items()
        if len(words := name.split()) == 2 and words[0] == _MODEL_API
    }
    if not info:
        return description
    return merged(
        description,
        "Ultralytics' properties",
        describe_model_api(info, f"{_WHERE}/{_MODEL_API}"),
        "model_info",
    )


def _score_kind(graph: OnnxGraph, side_outputs: Sequence[str]) -> str | None:
    """Type of the only output besides `side_outputs`, according to the last operation that changes values."""
    main = [name for name in graph.outputs if name not in side_outputs]
    if len(main) != 1:
        return None
    producers = {name: operation for operation in graph.operations for name in operation.outputs}
    tensor, biased = main[0], False
    for _ in graph.operations:
        operation = producers.get(tensor)
        if operation is None or not operation.inputs:
            return None
        if operation.kind in _LINEAR:
            return "logits"
        if operation.kind in _SCORE_KINDS:
            return None if biased else _SCORE_KINDS[operation.kind]
        if operation.kind == "Add" and not biased:
            tensor, biased = _summand(operation.inputs, producers), True
        elif operation.kind in _PASS_ON | _PASS_ON_TOO:
            tensor = operation.inputs[0]
        else:
            return None
    return None


def _summand(inputs: tuple[str, ...], producers: Mapping[str, object]) -> str:
    """The input of a sum with a bias that the network computes."""
    computed = [name for name in inputs if name in producers]
    return computed[0] if len(computed) == 1 else ""
