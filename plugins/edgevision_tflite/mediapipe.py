"""The export format ``mediapipe``: classifiers and detectors as MediaPipe Tasks takes them.

It takes RGB images in float32, normalized as TFLite Metadata says, or as pixels in uint8; stretches them;
and takes a classifier's scores as they are. Of a detector it expects two outputs, boxes and scores, and
suppresses overlapping boxes itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgevision.artifact import Artifact
from edgevision.description import KEY, ModelDescription
from edgevision.descriptions.written import resized_bilinearly, unknown_preprocessing
from edgevision.errors import ConversionError
from edgevision.export_format import (
    ExportedFiles,
    ExportedModel,
    boxes_in_graph,
    refusal,
    with_softmax_output,
)
from edgevision.graph import columns, per_channel
from edgevision_tflite.describing import EXPORTED_TASKS, add_signature
from edgevision_tflite.graph import TFLiteGraph
from edgevision_tflite.model_file import packed, set_metadata
from edgevision_tflite.tflite_metadata import (
    NAME,
    DetectionOutputs,
    ImageMetadata,
    OutputMetadata,
    TfliteMetadata,
    associated_files,
    metadata_buffer,
)

_READER = "MediaPipe Tasks"
#: Names of the outputs of an exported detector.
_BOXES, _SCORES = "boxes", "scores"
#: The smallest score whose logarithm is taken.
_LEAST_SCORE = float(np.finfo(np.float32).tiny)


class MediaPipe:
    """As `edgevision.export_format.ExportFormat`."""

    name = "mediapipe"
    summary = "MediaPipe Tasks: ImageClassifier and ObjectDetector, one .tflite file with TFLite Metadata"
    formats = ("tflite",)

    def export(self, model: ExportedModel) -> ExportedFiles:
        """As `edgevision.export_format.ExportFormat.export`."""
        _check_image(model)
        graph = TFLiteGraph(model.artifact)
        if model.description.task["name"] == "classify":
            return _written(model, graph, *_classifier(model, graph))
        return _written(model, graph, *_detector(model, graph))


def _check_image(model: ExportedModel) -> None:
    task, how = model.description.task["name"], model.description.preprocessing
    if how is None or task not in EXPORTED_TASKS:
        raise ConversionError(refusal(model, _READER, f"a model of task '{task}'"))
    obstacles = unknown_preprocessing(how)
    if how["resize"] != "stretch":
        obstacles.append(f"images resized by {how['resize']}: it stretches them")
    if how["color"] != "rgb":
        obstacles.append(f"{'grey' if how['color'] == 'gray' else 'BGR'} images: it gives RGB")
    if how["layout"] != "nhwc":
        obstacles.append("channels before rows")
    if model.inputs[0].dtype not in ("float32", "int8", "uint8"):
        obstacles.append(f"an input of {model.inputs[0].dtype}")
    if obstacles:
        raise ConversionError(refusal(model, _READER, "; ".join(obstacles)))


def _classifier(
    model: ExportedModel, graph: TFLiteGraph
) -> tuple[list[OutputMetadata], ModelDescription, DetectionOutputs | None]:
    description, output = model.description, model.description.task["output"]
    if description.task["score_kind"] == "sigmoid":  # TFLite Metadata has its temperature
        graph.set_outputs({output: graph.output(output)})
        return [OutputMetadata(output, "scores", description.temperature)], description, None
    described = with_softmax_output(model, graph, _floor(model))
    return [OutputMetadata(output, "scores")], described, None


def _floor(model: ExportedModel) -> float:
    """The lowest score that the output can represent: half a step of an integer."""
    (output,) = [each for each in model.outputs if each.name == model.description.task["output"]]
    return _LEAST_SCORE if output.quantization is None else output.quantization.scale / 2


def _detector(
    model: ExportedModel, graph: TFLiteGraph
) -> tuple[list[OutputMetadata], ModelDescription, DetectionOutputs | None]:
    description, task = model.description, model.description.task
    found = boxes_in_graph(model, graph, _READER)
    _, boxes, classes = graph.shape(found.scores)
    # The names of the outputs may be those of inner tensors already.
    graph.rename_inner((_BOXES, _SCORES))
    graph.set_outputs({_BOXES: columns(graph, found.boxes, 1, 0, 3, 2), _SCORES: found.scores})
    settings = {"boxes": _BOXES, "scores": _SCORES, "box_format": "cycxhw", "box_unit": "share"}
    described = replace(description, task={**task, "decoder": "boxes-scores", "decoder_settings": settings})
    outputs = [OutputMetadata("location", "boxes"), OutputMetadata("score", "scores")]
    return outputs, described, DetectionOutputs(classes, boxes)


def _written(
    model: ExportedModel,
    graph: TFLiteGraph,
    outputs: list[OutputMetadata],
    description: ModelDescription,
    detection: DetectionOutputs | None,
) -> ExportedFiles:
    how, normalization = description.preprocessing, description.pixel_normalization
    if how is None or normalization is None:
        raise ConversionError(refusal(model, _READER, "a model without an image"))
    mean, scale = (values[:1] if len({*values}) == 1 else values for values in normalization)
    if model.inputs[0].dtype == "int8" or len(mean) > 1 or len(scale) > 1:  # it has no such normalization
        kept = graph.take_pixels(per_channel(mean, "nhwc"), per_channel(scale, "nhwc"))
        if not kept:  # the tensor holds pixels, and the graph normalizes them
            plain = {"value_range": [0.0, 255.0], "mean": [0.0], "scale": [1.0]}
            description = replace(description, preprocessing={**how, **plain})
            mean, scale = (0.0,), (1.0,)
    image = ImageMetadata(graph.name(graph.input), "rgb", mean, scale, model.input_size_wh)
    metadata = TfliteMetadata(f"EdgeVision {description.task['name']}", image, outputs, detection)
    temperature = outputs[-1].temperature
    files = associated_files(description.labels, len(description.labels), temperature)
    set_metadata(graph.model, KEY, description.to_json().encode())
    set_metadata(graph.model, NAME, metadata_buffer(metadata))
    add_signature(graph.model)
    artifact = Artifact("tflite", model.artifact.precision, {"model.tflite": packed(graph.model, files)})
    notes = []
    if how["interpolation"] != "bilinear":
        notes.append(resized_bilinearly(_READER, how["interpolation"]))
    if (description.score_calibration or {}).get("operating_point"):
        notes.append(
            "MediaPipe does not apply the threshold of the class of interest: apply it to the scores"
        )
    if detection is not None:
        task = description.task
        notes.append(
            f"pass score_threshold={task['score_threshold']:g} and max_results={task['max_detections']} to "
            f"ObjectDetectorOptions: the bundle's own"
        )
    return ExportedFiles(artifact, notes=tuple(notes))
