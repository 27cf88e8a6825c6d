"""The keys by which other programs describe a model, whatever format holds them.

OpenVINO Model API reads the same names from ``rt_info`` and from ONNX ``metadata_props``, Ultralytics the
same from a TFLite file's archive and from ONNX. A model that such a description would be untrue of gets
none: its reader would answer otherwise than the bundle, without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.description import ModelDescription

#: `Preprocessing.resize` -> Model API's name.
_RESIZE = {
    "stretch": "standard",
    "letterbox": "fit_to_window_letterbox",
    "corner-letterbox": "fit_to_window",
    "center-crop": "crop",
}
#: `Preprocessing.interpolation` -> Model API's name.
_INTERPOLATIONS = {"bilinear": "LINEAR", "nearest": "NEAREST"}
#: Grey of the padding of Ultralytics' letterbox.
_ULTRALYTICS_PADDING = 114


@dataclass(frozen=True)
class ForeignDescription:
    """Another program's description of a model, or why it has none.

    Attributes:
        values: its keys and values; empty if the model cannot be described.
        obstacles: what of the model it cannot say, in words; empty if it can.
        notes: what is left out of the values because it cannot be said, in sentences.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def model_api_description(description: ModelDescription, outputs: Sequence[str]) -> ForeignDescription:
    """The ``model_info`` of OpenVINO Model API (0.4): a classifier, or a detector of YOLOv8's form.

    Its images are BGR, as OpenCV reads them.

    Args:
        description: the model.
        outputs: names of the artifact's outputs.
    """
    how, task = description.preprocessing, description.task
    obstacles = [*_input_obstacles(description), *_model_api_obstacles(description, outputs)]
    normalization = description.pixel_normalization
    if obstacles or how is None or normalization is None:
        return ForeignDescription(obstacles=tuple(obstacles))
    mean, scale = normalization
    values = {
        "model_type": "Classification" if task["name"] == "classify" else "YOLOv8",
        "resize_type": _RESIZE[how["resize"]],
        "reverse_input_channels": str(how["color"] == "rgb"),
        "mean_values": _numbers(mean),
        "scale_values": _numbers(scale),
        "pad_value": str(how["pad_value"]),
        # It splits them at white space.
        "labels": " ".join("_".join(label.split()) for label in description.labels),
    }
    interpolation = how["interpolation"]
    if interpolation in _INTERPOLATIONS:
        values["interpolation_mode"] = _INTERPOLATIONS[interpolation]
    if task["name"] == "classify":
        values["output_raw_scores"] = "True"
    else:
        values["confidence_threshold"] = f"{task['score_threshold']:g}"
        values["iou_threshold"] = f"{task['iou_threshold']:g}"
    said = interpolation in _INTERPOLATIONS
    return ForeignDescription(values, notes=() if said else (resized_bilinearly("Model API", interpolation),))


def ultralytics_description(
    description: ModelDescription, outputs: Sequence[str], box_unit: str, layout: str
) -> ForeignDescription | None:
    """The metadata of an Ultralytics export; `None` for a model that is no YOLO of its form.

    Args:
        description: the model.
        outputs: names of the artifact's outputs.
        box_unit: of the boxes in an Ultralytics export of this format: ``pixels`` or ``share``.
        layout: of its input: ``nhwc`` or ``nchw``.
    """
    how, task = description.preprocessing, description.task
    if how is None or not _is_yolov8(task, outputs):
        return None
    obstacles = []
    if task["decoder_settings"]["box_unit"] != box_unit:
        obstacles.append(f"boxes in {task['decoder_settings']['box_unit']}")
    if how["layout"] != layout:
        obstacles.append(f"an input with channels {'last' if how['layout'] == 'nhwc' else 'first'}")
    if (how["resize"], how["pad_value"]) != ("letterbox", _ULTRALYTICS_PADDING):
        obstacles.append(_resizing(how))
    if how["color"] != "rgb":
        obstacles.append(f"{how['color']} images")
    if description.pixel_normalization != ((0.0,), (255.0,)):
        obstacles.append("values other than 0…1")
    if obstacles:
        return ForeignDescription(obstacles=tuple(obstacles))
    width, height = how["size_wh"]
    values = {
        "task": "detect",
        "names": str(dict(enumerate(description.labels))),
        "imgsz": str([height, width]),
        "stride": "32",
        "batch": "1",
        "channels": "3",
        "end2end": "False",
    }
    return ForeignDescription(values)


def resized_bilinearly(reader: str, interpolation: str) -> str:
    """The note that a program resizes images otherwise than the model expects, and cannot be told."""
    advice = "resize them to its size first"
    return f"{reader} resizes images bilinearly, and this model by {interpolation}: {advice}"


def left_out(reader: str, obstacles: Sequence[str], remedy: str = "") -> str:
    """The note that another program's metadata is left out."""
    return f"no metadata for {reader}, which cannot say: {', '.join(obstacles)}" + (
        f"; {remedy}" if remedy else ""
    )


def _input_obstacles(description: ModelDescription) -> list[str]:
    how = description.preprocessing
    if how is None:
        return ["an input other than an image"]
    obstacles = ["grey images"] if how["color"] == "gray" else []
    if how["resize"] not in _RESIZE:
        obstacles.append(_resizing(how))
    return obstacles + unknown_preprocessing(how)


#: Fields of `Preprocessing` that are taken into account here: another one may change what the input holds.
_KNOWN_FIELDS = frozenset(
    {"size_wh", "value_range", "resize", "interpolation", "color", "mean", "scale", "layout", "pad_value"}
)


def unknown_preprocessing(how: Mapping[str, Any]) -> list[str]:
    """Fields of a preprocessing that other programs cannot be told, such as a window of 16-bit values."""
    return [f"preprocessing by {name}" for name in sorted(set(how) - _KNOWN_FIELDS) if how[name] is not None]


def _model_api_obstacles(description: ModelDescription, outputs: Sequence[str]) -> list[str]:
    task = description.task
    if not description.labels:
        return ["classes without names"]
    if not all(label.split() for label in description.labels):
        return ["a class with an empty name"]
    if task["name"] == "classify":
        obstacles = []
        if len(outputs) != 1:
            obstacles.append("several outputs")
        if task["score_kind"] == "sigmoid":
            obstacles.append("independent scores without another sigmoid")
        if description.temperature is not None:
            obstacles.append("a temperature")
        return obstacles
    if task["name"] != "detect":
        return [f"the task '{task['name']}'"]
    if not _is_yolov8(task, outputs):
        return ["outputs of another form than YOLOv8's"]
    if task["decoder_settings"]["box_unit"] != "pixels":
        return ["boxes in shares of the image"]
    return []


def _is_yolov8(task: Mapping[str, Any], outputs: Sequence[str]) -> bool:
    """True for one output (4 + classes, boxes) whose scores need no activation."""
    if task["name"] != "detect" or task["decoder"] != "yolo" or len(outputs) != 1:
        return False
    settings = task["decoder_settings"]
    return bool(
        settings.get("transposed")
        and not settings.get("objectness")
        and settings.get("activation", "none") == "none"
        and settings.get("grid", "decoded") == "decoded"
    )


def _resizing(how: Mapping[str, Any]) -> str:
    padding = f" with padding of {how['pad_value']}" if how["resize"] == "letterbox" else ""
    return f"resizing by {how['resize']}{padding}"


def _numbers(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
