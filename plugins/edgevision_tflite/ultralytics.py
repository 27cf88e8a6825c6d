"""The metadata that Ultralytics' exporter keeps in the archive behind a TFLite model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgevision.backend import ArtifactDescription
from edgevision.descriptions.literals import read_literal
from edgevision.descriptions.merging import merged
from edgevision.descriptions.ultralytics import describe_ultralytics, is_ultralytics
from edgevision.system.flatbuffer import DamagedError
from edgevision_tflite.archive import read_text
from edgevision_tflite.graph_ends import Graph


def with_ultralytics(
    content: bytes, name: str, graph: Graph, own: ArtifactDescription | None, own_name: str
) -> ArtifactDescription:
    """The description by a file of the archive, and by the model's other metadata.

    Args:
        content: the model, with its archive.
        name: of the file, which may be something else than Ultralytics' metadata.
        graph: the graph that it describes.
        own: the other metadata; `None` without.
        own_name: the name of that, for messages.

    Raises:
        DamagedError: the file cannot be read.
    """
    stated = _stated(content, name)
    described = ArtifactDescription()
    if is_ultralytics(stated):
        # The exporter by ONNX leaves the channels last and divides every coordinate by the size; its
        # successor leaves the boxes of heads without NMS in pixels.
        end2end_unit = "share" if graph.channels_last() else "pixels"
        described = describe_ultralytics(stated, name, "share", end2end_unit)
    return described if own is None else merged(described, name, own, own_name)


def _stated(content: bytes, name: str) -> Mapping[str, Any]:
    try:
        stated = read_literal(read_text(content, name))
    except ValueError as error:
        raise DamagedError(f"{name} in its archive cannot be read: {error}") from error
    return stated if isinstance(stated, dict) else {}
