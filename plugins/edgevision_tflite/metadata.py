"""Metadata of a ``.tflite`` file: of its graph, its TFLite Metadata, and Ultralytics' file in its archive."""

from __future__ import annotations

from dataclasses import replace

from edgevision.artifact import Artifact
from edgevision.backend import ArtifactDescription
from edgevision.system.flatbuffer import DamagedError, Flatbuffer
from edgevision_tflite.archive import has_member
from edgevision_tflite.graph_ends import Graph
from edgevision_tflite.integrity import invalid
from edgevision_tflite.metadata_reader import TFLiteMetadata, read_tflite_metadata

_WHERE = "TFLite Metadata"
#: The file in the archive that Ultralytics' exporter writes, and the one of its older releases, which are
#: named as label files too.
_ULTRALYTICS = "metadata.json"
_OLDER_ULTRALYTICS = "temp_meta.txt"


def describe(artifact: Artifact) -> ArtifactDescription:
    """The metadata of a TFLite artifact; empty fields where it has none.

    Raises:
        ArtifactError: the model, its metadata, or the archive with its files is damaged.
    """
    try:
        return _describe(artifact.content)
    except DamagedError as error:
        raise invalid(artifact, error) from error


def _describe(content: bytes) -> ArtifactDescription:
    model = Flatbuffer(content, b"TFL3")
    graphs = model.tables(model.root, 2)
    if not graphs:
        raise DamagedError("the model has no graph")
    graph = Graph(model, graphs[0])
    description = _stated(content, graph, read_tflite_metadata(model, content))
    task = description.task or (graph.task() if not description.decoders else "detect")
    found = replace(description, score_kind=graph.score_kind() or description.score_kind, task=task)
    places = graph.detection_places()
    if not places or found.task != "detect":
        return found
    return replace(found, decoders={"tflite-ssd": {}}, output_places=places)


def _stated(content: bytes, graph: Graph, metadata: TFLiteMetadata | None) -> ArtifactDescription:
    """The description by all metadata besides the graph."""
    own = None if metadata is None else metadata.describe(content, graph, without=_OLDER_ULTRALYTICS)
    name = next((name for name in (_ULTRALYTICS, _OLDER_ULTRALYTICS) if has_member(content, name)), None)
    if name is None:
        return own or ArtifactDescription()
    from edgevision_tflite.ultralytics import with_ultralytics  # not in most files

    return with_ultralytics(content, name, graph, own, _WHERE)
