"""Check that a TFLite model is complete, without an interpreter.

Field numbers are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

from edgevision.artifact import Artifact
from edgevision.errors import ArtifactError
from edgevision.system.flatbuffer import DamagedError, Flatbuffer


def check_complete(artifact: Artifact) -> None:
    """Follow every reference in a model to its end: tflite-runtime 2.14 crashes on a truncated one.

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
            raise DamagedError("the model has no graph")
        for graph in graphs:
            _check_graph(model, graph)
    except DamagedError as error:
        raise invalid(artifact, error) from error


def invalid(artifact: Artifact, reason: DamagedError | str) -> ArtifactError:
    """The error for a file that is not a TFLite model, or a damaged one."""
    return ArtifactError(
        f"{artifact.name}: not a valid TFLite model (truncated or corrupted?): {reason}; "
        "copy or convert it again"
    )


def _check_graph(model: Flatbuffer, graph: int) -> None:
    for tensor in model.tables(graph, 0):
        model.numbers(tensor, 0, "i")
        model.numbers(tensor, 7, "i")
        model.text(tensor, 3)
        quantization = model.table(tensor, 4)
        if quantization is not None:
            model.numbers(quantization, 2, "f")
            model.numbers(quantization, 3, "q")
    for operator in model.tables(graph, 3):
        model.numbers(operator, 1, "i")
        model.numbers(operator, 2, "i")
        model.content(operator, 5)
        options = model.table(operator, 4)
        if options is not None:
            model.scalar(options, 0, "b")
