"""The export format ``openvino-model-api``: the forms of classifiers and detectors that Model API takes.

It divides by a sum of exponentials where a classifier's scores do not sum to 1, applies a sigmoid where
several labels may hold, and expects of a detector the one output of YOLOv8, with boxes in pixels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.description import ModelDescription
from edgevision.errors import ConversionError
from edgevision.export import ExportedFiles, ExportedModel, refusal
from edgevision.graph import GraphDecoder, scaled
from edgevision.interchange import model_api_description
from edgevision_openvino.describing import write_description
from edgevision_openvino.graph import OpenVINOGraph

_READER = "OpenVINO Model API"
OUTPUT = "output0"


class ModelAPI:
    """As `edgevision.export.ExportFormat`."""

    name = "openvino-model-api"
    summary = "OpenVINO Model API: Classification and YOLOv8, an .xml and a .bin file with model_info"
    formats = ("openvino", "onnx")

    def export(self, model: ExportedModel) -> ExportedFiles:
        """As `edgevision.export.ExportFormat.export`."""
        task = model.description.task["name"]
        if task not in ("classify", "detect"):
            raise ConversionError(refusal(model, _READER, f"a model of task '{task}'"))
        graph = OpenVINOGraph(model.artifact)
        description = _classifier(model, graph) if task == "classify" else yolov8(model, graph, _READER)
        return _written(model, graph, description)


def _classifier(model: ExportedModel, graph: OpenVINOGraph) -> ModelDescription:
    description, task = model.description, model.description.task
    temperature = description.temperature
    if task["score_kind"] == "sigmoid":
        raise ConversionError(
            refusal(model, _READER, "independent scores: it applies a sigmoid to every multi-label output")
        )
    scores = graph.output(task["output"])
    if temperature is not None or task["score_kind"] == "logits":
        logits = scores
        if task["score_kind"] == "softmax":
            least = graph.constant(np.asarray([np.finfo(np.float32).tiny], np.float32))
            logits = graph.unary("log", graph.binary("maximum", scores, least))
        if temperature is not None:
            logits = graph.binary("multiply", logits, graph.constant(np.asarray([1 / temperature], np.float32)))
        scores = graph.unary("softmax", logits)
    graph.set_outputs({task["output"]: scores})
    calibration = description.score_calibration
    return replace(
        description,
        task={**task, "score_kind": "softmax"},
        score_calibration=None if calibration is None else {**calibration, "temperature": None},
    )


def yolov8(model: ExportedModel, graph: Any, reader: str) -> ModelDescription:
    """Give a graph the output of YOLOv8: (1, 4 + classes, boxes), centre and size in pixels, then scores.

    Raises:
        ConversionError: the decoder cannot be written in a graph.
    """
    description, task, decoder = model.description, model.description.task, model.decoder
    if not isinstance(decoder, GraphDecoder):
        raise ConversionError(refusal(model, reader, f"the outputs of decoder '{task['decoder']}'"))
    found = decoder.in_graph(graph, model.outputs_of_one_image, model.input_size_wh, task["decoder_settings"])
    classes = graph.shape(found.scores)[2]
    if len(description.labels) != classes:
        raise ConversionError(
            refusal(model, reader, f"{classes} classes with {len(description.labels)} labels")
        )
    width, height = model.input_size_wh
    boxes = scaled(graph, found.boxes, (width, height, width, height))
    rows = graph.concatenate([boxes, found.scores], 2)
    graph.set_outputs({OUTPUT: graph.transpose(rows, (0, 2, 1))})
    settings = {
        "output": OUTPUT,
        "transposed": True,
        "objectness": False,
        "box_unit": "pixels",
        "activation": "none",
    }
    return replace(description, task={**task, "decoder": "yolo", "decoder_settings": settings})


def _written(model: ExportedModel, graph: OpenVINOGraph, description: ModelDescription) -> ExportedFiles:
    obstacles = model_api_description(description, [OUTPUT]).obstacles
    if obstacles:
        raise ConversionError(refusal(model, _READER, "; ".join(obstacles)))
    artifact = Artifact("openvino", model.artifact.precision, graph.files())
    notes = []
    how = description.preprocessing or {}
    if how.get("interpolation") != "bilinear":
        notes.append(f"Model API resizes images bilinearly, and this model by {how.get('interpolation')}")
    spaces = [label for label in description.labels if len(label.split()) > 1]
    if spaces:
        notes.append(f"white space in labels is written as _, because Model API splits there: {spaces[0]}")
    if (description.score_calibration or {}).get("operating_point"):
        notes.append("the threshold of the class of interest is not in the file: apply it to the scores")
    return ExportedFiles(write_description(artifact, description).artifact, notes=tuple(notes))
