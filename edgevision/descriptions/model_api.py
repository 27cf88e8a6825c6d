"""Metadata of OpenVINO Model API: ``model_info`` in the ``rt_info`` of an IR, or in ONNX properties.

Read as its own wrappers (0.4.7) do: https://github.com/open-edge-platform/model_api, ``models``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgevision.backend import ArtifactDescription, UnsupportedMetadata
from edgevision.descriptions.literals import read_flag, read_numbers

#: Outputs for explanations, which its wrappers keep apart.
_SIDE_OUTPUTS = ("saliency_map", "feature_vector")
_RESIZES = {
    "standard": "stretch",
    "fit_to_window": "corner-letterbox",
    "fit_to_window_letterbox": "letterbox",
    "crop": "center-crop",
}
#: The head of YOLOv5 to YOLO11: the values of a box are a column, without objectness.
_COLUMNS = {"transposed": True, "objectness": False, "box_unit": "pixels"}
#: Wrappers of other tasks.
_OTHER_TASKS = frozenset(
    {
        "action classification",
        "anomalydetection",
        "detrinstseg",
        "keypoint_detection",
        "maskrcnn",
        "sam_decoder",
        "sam_image_encoder",
        "segmentation",
        "yolo-seg",
    }
)
_INTERPOLATIONS = {"LINEAR": "bilinear", "NEAREST": "nearest"}
_YOLO_DEFAULTS = {
    "resize_type": "fit_to_window_letterbox",
    "pad_value": "114",
    "reverse_input_channels": "YES",
    "scale_values": "255.0",
    "confidence_threshold": "0.25",
    "nms_execute": "YES",
    "iou_threshold": "0.7",
    "nms_max_predictions": "30000",
}
#: Statements of what images become, beyond mean and scale -> their supported values.
_SUPPORTED_VALUES = {"intensity_mode": ("none", "scale_to_unit"), "input_dtype": ("u8",)}
#: Statements that add a step which EdgeVision does not have -> the caller's statement that overrides it.
_STEPS = {
    "embedded_processing": "values",
    "intensity_repeat_channels": "values",
    "multilabel": "scores",
    "hierarchical": "scores",
    "agnostic_nms": "decoder",
}


def describe_model_api(info: Mapping[str, str], where: str) -> ArtifactDescription:
    """The description of a model for Model API.

    Args:
        info: the entries of ``model_info``.
        where: the metadata, for errors, such as ``rt_info/model_info``.
    """
    kind = info.get("model_type", "").strip()
    describe = _KINDS.get(kind.lower())
    if describe is not None:
        return describe(info, where)
    reader = _Reader(info, where)
    description = reader.input_description(normalized_by_default=False)
    unsupported = description.unsupported
    if kind.lower() in _OTHER_TASKS:
        return replace(description, task=kind)
    if kind:
        reason = f"supported are {', '.join(sorted(_NAMES))}"
        unsupported += (UnsupportedMetadata("kind", f"{where}: model_type '{kind[:80]}'", reason),)
    return replace(description, unsupported=unsupported)


def _classification(info: Mapping[str, str], where: str) -> ArtifactDescription:
    described = _Reader(info, where).input_description()
    # Its wrapper names one class more than there are labels.
    return replace(described, task="classify", first_label="other", side_outputs=_SIDE_OUTPUTS)


def _ssd(info: Mapping[str, str], where: str) -> ArtifactDescription:
    defaults = {"confidence_threshold": "0.5", "iou_threshold": "0.5", "nms_max_predictions": "200"}
    reader = _Reader({**defaults, **info}, where)
    decoders: dict[str, Mapping[str, Any]] = {
        "detection-output": {},
        "boxes-scores": {"box_format": "xyxy", "box_unit": "share"},
        "boxes-labels": {"box_unit": "pixels"},
    }
    thresholds = reader.thresholds()
    return replace(reader.input_description(), task="detect", decoders=decoders, thresholds=thresholds)


def _yolo_v8(info: Mapping[str, str], where: str) -> ArtifactDescription:
    reader = _Reader({**_YOLO_DEFAULTS, **info}, where)
    decoders: dict[str, Mapping[str, Any]] = {"yolo": dict(_COLUMNS)}
    thresholds = reader.thresholds()
    return replace(reader.input_description(), task="detect", decoders=decoders, thresholds=thresholds)


def _yolo_x(info: Mapping[str, str], where: str) -> ArtifactDescription:
    defaults = {"confidence_threshold": "0.5", "nms_execute": "YES", "iou_threshold": "0.65"}
    # Trained on images as OpenCV reads them, and fed so by the wrapper.
    defaults["reverse_input_channels"] = "NO"
    # Its wrapper always pads at the right and below, with 114, whatever else is stated.
    fixed = {"resize_type": "fit_to_window", "pad_value": "114"}
    reader = _Reader({**defaults, **info, **fixed}, where)
    decoders = {"yolo": {"objectness": True, "box_unit": "pixels", "grid": "relative"}}
    thresholds = reader.thresholds()
    return replace(reader.input_description(), task="detect", decoders=decoders, thresholds=thresholds)


def _yolo(info: Mapping[str, str], where: str) -> ArtifactDescription:
    """Ultralytics' exporter writes this type for every task; only what it classifies has no resize type."""
    if "resize_type" not in info:
        described = _Reader(info, where).input_description()
        fitted = replace(described, resize="center-crop", interpolation="area")
        return replace(fitted, task="classify", score_kind="softmax")
    reader = _Reader({**_YOLO_DEFAULTS, **info}, where)
    decoders: dict[str, Mapping[str, Any]] = {
        "yolo-end2end": {"box_unit": "pixels"},
        "yolo": dict(_COLUMNS),
    }
    return replace(reader.input_description(), decoders=decoders, thresholds=reader.thresholds())


_NAMES: dict[str, Callable[[Mapping[str, str], str], ArtifactDescription]] = {
    "Classification": _classification,
    "SSD": _ssd,
    "YOLO": _yolo,
    "YOLOv5": _yolo_v8,
    "YOLOv8": _yolo_v8,
    "YOLO11": _yolo_v8,
    "YOLOX": _yolo_x,
}
_KINDS = {name.lower(): describe for name, describe in _NAMES.items()}


class _Reader:
    """Reads single entries, and keeps those that it does not understand."""

    def __init__(self, info: Mapping[str, str], where: str) -> None:
        # Its own readers take the word None for a missing entry.
        self._info = {name: text.strip() for name, text in info.items() if text.strip() not in ("", "None")}
        self._where = where
        self._unsupported: list[UnsupportedMetadata] = []

    def input_description(self, normalized_by_default: bool = True) -> ArtifactDescription:
        """The description of the input and the labels.

        Args:
            normalized_by_default: without mean and scale, pixels enter as they are.
        """
        self._check_steps()
        mean, scale = self._per_channel("mean_values", 0.0), self._per_channel("scale_values", 1.0)
        stated = normalized_by_default or bool({"mean_values", "scale_values"} & set(self._info))
        normalized = stated and mean is not None and scale is not None
        pad_value = self._number("pad_value", "resize", 0, 255)
        return ArtifactDescription(
            labels=self._labels(),
            value_range=(0.0, self._white()) if normalized else None,
            mean=mean if normalized else None,
            scale=scale if normalized else None,
            color=self._color(),
            resize=self._resize(normalized_by_default),
            interpolation=self._word("interpolation_mode", _INTERPOLATIONS, "interpolation"),
            pad_value=None if pad_value is None else int(pad_value),
            unsupported=tuple(self._unsupported),
        )

    def thresholds(self) -> dict[str, float]:
        """Thresholds of a detector."""
        score = self._number("confidence_threshold", "decoder", 0, 1)
        iou = self._number("iou_threshold", "decoder", 0, 1)
        most = self._number("nms_max_predictions", "decoder", 0, math.inf)
        suppressed = self._flag("nms_execute", "decoder")
        found = {"iou_threshold": iou if suppressed and iou is not None else 1.0}
        if score is not None:
            found["score_threshold"] = score
        if most:
            found["max_detections"] = int(most)
        return found

    def _check_steps(self) -> None:
        for name, field in _STEPS.items():
            if self._flag(name, field):
                self._refuse(field, name, "this step is not supported")
        for name, supported in _SUPPORTED_VALUES.items():
            if self._info.get(name, supported[0]) not in supported:
                self._refuse("values", name, f"supported: {', '.join(supported)}")
        if "path_to_labels" in self._info:
            self._refuse("labels", "path_to_labels", "a path that holds on one machine")

    def _white(self) -> float:
        """The value of white before mean and scale: it may be divided by a highest value first."""
        if self._info.get("intensity_mode") != "scale_to_unit":
            return 255.0
        highest = self._number("intensity_max_value", "values", 1, math.inf)
        return 255.0 / (highest or 255.0)

    def _labels(self) -> tuple[str, ...] | None:
        labels = tuple(self._info.get("labels", "").split())
        return labels or None

    def _color(self) -> str | None:
        reversed_channels = self._flag("reverse_input_channels", "color")
        # Model API takes images with the blue channel first.
        return None if reversed_channels is None else "rgb" if reversed_channels else "bgr"

    def _resize(self, normalized_by_default: bool) -> str | None:
        name = self._word("resize_type", _RESIZES, "resize")
        return name or ("stretch" if normalized_by_default and "resize_type" not in self._info else None)

    def _per_channel(self, name: str, default: float) -> tuple[float, ...] | None:
        if name not in self._info:
            return (default,)
        numbers = read_numbers(self._info[name])
        valid = numbers is not None and len(numbers) in (1, 3) and all(map(math.isfinite, numbers))
        if not valid or (name == "scale_values" and numbers is not None and 0 in numbers):
            self._refuse("values", name, "expected one number, or one per channel")
            return None
        return numbers

    def _word(self, name: str, words: Mapping[str, str], field: str) -> str | None:
        text = self._info.get(name)
        if text is not None and text not in words:
            self._refuse(field, name, f"supported are {', '.join(words)}")
        return None if text is None else words.get(text)

    def _number(self, name: str, field: str, low: float, high: float) -> float | None:
        if name not in self._info:
            return None
        numbers = read_numbers(self._info[name])
        if numbers is None or len(numbers) != 1 or not low <= numbers[0] <= high:
            self._refuse(field, name, f"expected a number in {low:g}…{high:g}")
            return None
        return numbers[0]

    def _flag(self, name: str, field: str) -> bool | None:
        if name not in self._info:
            return None
        flag = read_flag(self._info[name])
        if flag is None:
            self._refuse(field, name, "expected YES or NO")
        return flag

    def _refuse(self, field: str, name: str, reason: str) -> None:
        said = f"{self._where}: {name} '{self._info[name][:80]}'"
        self._unsupported.append(UnsupportedMetadata(field, said, reason))
