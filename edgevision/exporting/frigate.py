"""The export format ``frigate``: detectors for the video recorder Frigate (0.16 and later).

It cuts squares out of its cameras' frames, resizes them to the network's input, and gives them as uint8. Of a
``yolo-generic`` network it expects YOLOv8's output, keeps scores above 0.4, and suppresses overlapping boxes
whatever their classes. Of a TFLite file it expects the four outputs of an SSD, with NMS applied.
"""

from __future__ import annotations

from dataclasses import replace

from edgevision.description import ModelDescription
from edgevision.descriptions.written import unknown_preprocessing
from edgevision.errors import ConversionError
from edgevision.export_format import (
    ExportedFiles,
    ExportedModel,
    boxes_in_graph,
    refusal,
    with_yolov8_output,
)
from edgevision.graph import EditableGraph, SuppressingGraph, Suppression, per_channel

_READER = "Frigate"
#: Artifact format -> Frigate's detector that runs it.
_DETECTORS = {"openvino": "openvino", "onnx": "onnx", "tflite": "cpu"}
_FOLDER = "/config/model_cache/edgevision"
_LEAST_SCORE = 0.4


class Frigate:
    """As `edgevision.export_format.ExportFormat`."""

    name = "frigate"
    summary = "Frigate: a detector for its openvino, onnx or cpu detector, with labels and configuration"
    formats = ("openvino", "onnx", "tflite")

    def export(self, model: ExportedModel) -> ExportedFiles:
        """As `edgevision.export_format.ExportFormat.export`."""
        description = model.description
        how, normalization = description.preprocessing, description.pixel_normalization
        obstacles = _obstacles(model)
        if obstacles or how is None or normalization is None or model.graph is None:
            raise ConversionError(
                refusal(model, _READER, "; ".join(obstacles) or f"a {model.artifact.format} file")
            )
        graph = model.graph()
        described = _with_ssd_outputs(model, graph) if _is_ssd(model) else _with_yolo_output(model, graph)
        graph.take_pixels(*(per_channel(values, how["layout"]) for values in normalization))
        pixels = {"value_range": [0.0, 255.0], "mean": [0.0], "scale": [1.0]}
        artifact = graph.artifact()
        return ExportedFiles(
            artifact,
            replace(described, preprocessing={**how, **pixels}),
            {"labelmap.txt": _labels(model), "frigate.yml": _configuration(model, artifact.name)},
            _notes(model),
        )


def _is_ssd(model: ExportedModel) -> bool:
    return model.artifact.format == "tflite"


def _with_yolo_output(model: ExportedModel, graph: EditableGraph) -> ModelDescription:
    form = with_yolov8_output(model, graph, _READER)
    classes = len(model.description.labels)
    if 4 + classes >= form.boxes:  # it takes the longer side for the boxes
        raise ConversionError(refusal(model, _READER, f"{classes} classes of {form.boxes} boxes"))
    return form.description


def _with_ssd_outputs(model: ExportedModel, graph: EditableGraph) -> ModelDescription:
    """Give a graph the four outputs of an SSD, in Frigate's order."""
    task = model.description.task
    found = boxes_in_graph(model, graph, _READER)
    if not isinstance(graph, SuppressingGraph):
        raise ConversionError(refusal(model, _READER, f"a {model.artifact.format} file"))
    settings = Suppression(task["score_threshold"], task["iou_threshold"], task["max_detections"])
    graph.set_outputs(graph.suppressed(found, settings))
    outputs = {name: name for name in ("boxes", "classes", "scores", "count")}
    return replace(model.description, task={**task, "decoder": "tflite-ssd", "decoder_settings": outputs})


def _obstacles(model: ExportedModel) -> list[str]:
    how, task = model.description.preprocessing, model.description.task["name"]
    if task != "detect" or how is None:
        return [f"a model of task '{task}'"]
    obstacles = unknown_preprocessing(how)
    width, height = how["size_wh"]
    if width != height:
        obstacles.append(f"an input of {width}x{height}: its pictures are squares")
    if how["color"] == "gray":
        obstacles.append("grey images")
    if any(len(line.splitlines()) != 1 or not line.strip() for line in model.description.labels):
        obstacles.append("a class with an empty name")
    return obstacles


def _labels(model: ExportedModel) -> bytes:
    """One class a line, with its number: without it, a name that starts with a number is read as one."""
    return "".join(f"{number} {label}\n" for number, label in enumerate(model.description.labels)).encode()


def _configuration(model: ExportedModel, network: str) -> bytes:
    """The parts of Frigate's configuration that describe the detector and its model."""
    how = model.description.preprocessing or {}
    width, height = how["size_wh"]
    detector = _DETECTORS[model.artifact.format]
    device = "\n    device: CPU" if detector == "openvino" else ""
    kind = "ssd" if _is_ssd(model) else "yolo-generic"
    return f"""\
# Copy this folder to {_FOLDER}, and this into Frigate's configuration.
detectors:
  edgevision:
    type: {detector}{device}

model:
  model_type: {kind}
  path: {_FOLDER}/{network}
  labelmap_path: {_FOLDER}/labelmap.txt
  width: {width}
  height: {height}
  input_tensor: {how["layout"]}
  input_pixel_format: {how["color"]}
  input_dtype: int
""".encode()


def _notes(model: ExportedModel) -> tuple[str, ...]:
    task = model.description.task
    note = (
        f"Frigate keeps scores above {_LEAST_SCORE:g} (the bundle: {task['score_threshold']:g}), at most 20 "
        f"objects"
    )
    if not _is_ssd(model):
        note += ", and suppresses overlapping boxes whatever their classes"
    return (note,)
