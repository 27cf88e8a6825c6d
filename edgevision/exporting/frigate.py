"""The export format ``frigate``: detectors for the video recorder Frigate (0.16 and later).

It cuts squares out of its cameras' frames, resizes them to the network's input, and gives them as uint8. Of a
``yolo-generic`` network it expects YOLOv8's output, keeps scores above 0.4, and suppresses overlapping boxes
whatever their classes.
"""

from __future__ import annotations

from dataclasses import replace

from edgevision.descriptions.written import unknown_preprocessing
from edgevision.errors import ConversionError
from edgevision.export_format import ExportedFiles, ExportedModel, refusal, with_yolov8_output
from edgevision.graph import per_channel

_READER = "Frigate"
#: Artifact format -> Frigate's detector that runs it.
_DETECTORS = {"openvino": "openvino", "onnx": "onnx"}
_FOLDER = "/config/model_cache/edgevision"
_LEAST_SCORE = 0.4


class Frigate:
    """As `edgevision.export_format.ExportFormat`."""

    name = "frigate"
    summary = "Frigate: a yolo-generic detector for its openvino or onnx detector, labels, and configuration"
    formats = ("openvino", "onnx")

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
        form = with_yolov8_output(model, graph, _READER)
        classes = len(description.labels)
        if 4 + classes >= form.boxes:  # it takes the longer side for the boxes
            raise ConversionError(refusal(model, _READER, f"{classes} classes of {form.boxes} boxes"))
        graph.take_pixels(*(per_channel(values, how["layout"]) for values in normalization))
        pixels = {"value_range": [0.0, 255.0], "mean": [0.0], "scale": [1.0]}
        artifact = graph.artifact()
        return ExportedFiles(
            artifact,
            replace(form.description, preprocessing={**how, **pixels}),
            {"labelmap.txt": _labels(model), "frigate.yml": _configuration(model, artifact.name)},
            _notes(model),
        )


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
    return f"""\
# Copy this folder to {_FOLDER}, and this into Frigate's configuration.
detectors:
  edgevision:
    type: {detector}{device}

model:
  model_type: yolo-generic
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
    notes = [
        f"Frigate keeps scores above {_LEAST_SCORE:g} (the bundle: {task['score_threshold']:g}), at most 20 "
        f"objects, and suppresses overlapping boxes whatever their classes"
    ]
    return tuple(notes)
