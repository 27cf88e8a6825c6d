"""The export format ``openvino-model-api``: the forms of classifiers and detectors that Model API takes.

It divides by a sum of exponentials where a classifier's scores do not sum to 1, applies a sigmoid where
several labels may hold, and expects of a detector the one output of YOLOv8, with boxes in pixels.
"""

from __future__ import annotations

import numpy as np

from edgevision.description import ModelDescription
from edgevision.descriptions.written import model_api_description
from edgevision.errors import ConversionError
from edgevision.export_format import (
    YOLOV8_OUTPUT,
    ExportedFiles,
    ExportedModel,
    refusal,
    with_softmax_output,
    with_yolov8_output,
)
from edgevision_openvino.describing import EXPORTED_TASKS
from edgevision_openvino.graph import OpenVINOGraph

_READER = "OpenVINO Model API"


class ModelAPI:
    """As `edgevision.export_format.ExportFormat`."""

    name = "openvino-model-api"
    summary = "OpenVINO Model API: Classification and YOLOv8, an .xml and a .bin file with model_info"
    formats = ("openvino", "onnx")

    def export(self, model: ExportedModel) -> ExportedFiles:
        """As `edgevision.export_format.ExportFormat.export`."""
        task = model.description.task["name"]
        if task not in EXPORTED_TASKS:
            raise ConversionError(refusal(model, _READER, f"a model of task '{task}'"))
        graph = OpenVINOGraph(model.artifact)
        if task == "classify":
            return _written(model, graph, _classifier(model, graph))
        return _written(model, graph, with_yolov8_output(model, graph, _READER).description)


def _classifier(model: ExportedModel, graph: OpenVINOGraph) -> ModelDescription:
    if model.description.task["score_kind"] == "sigmoid":
        raise ConversionError(
            refusal(model, _READER, "independent scores: it applies a sigmoid to every multi-label output")
        )
    return with_softmax_output(model, graph, float(np.finfo(np.float32).tiny))


def _written(model: ExportedModel, graph: OpenVINOGraph, description: ModelDescription) -> ExportedFiles:
    model_api = model_api_description(description, [YOLOV8_OUTPUT])
    if model_api.obstacles:
        raise ConversionError(refusal(model, _READER, "; ".join(model_api.obstacles)))
    notes = list(model_api.notes)
    spaces = [label for label in description.labels if len(label.split()) > 1]
    if spaces:
        notes.append(f"white space in labels is written as _, because Model API splits there: {spaces[0]}")
    if (description.score_calibration or {}).get("operating_point"):
        notes.append(
            "Model API does not apply the threshold of the class of interest: apply it to the scores"
        )
    return ExportedFiles(graph.artifact(), description, notes=tuple(notes))
