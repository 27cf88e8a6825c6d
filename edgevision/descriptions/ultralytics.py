"""Metadata that Ultralytics' exporter writes: ONNX properties, ``metadata.yaml``, ``metadata.json``.

Read as its own `AutoBackend` (8.4) does: https://github.com/ultralytics/ultralytics, ``nn/backends``. Its
predecessors YOLOv5 and YOLOv9 write ``names`` and ``stride`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgevision.backend import ArtifactDescription, UnsupportedMetadata
from edgevision.descriptions.literals import read_literal
from edgevision.system.shown import shown

#: Decoder of a head that suppresses overlaps itself, and of one that leaves them.
_END2END, _GRID = "yolo-end2end", "yolo"
#: Of its predictor; an export does not say them.
_THRESHOLDS = {"score_threshold": 0.25, "iou_threshold": 0.7, "max_detections": 300}
_MOST_CLASSES = 100_000
#: An input of this width and height takes 800 MB.
_LARGEST_SIZE = 8192
#: Its words for tasks.
_TASKS = ("detect", "classify", "pose", "segment", "obb", "semantic", "depth")


def is_ultralytics(stated: Mapping[str, Any]) -> bool:
    """Return whether metadata is Ultralytics', whole or in part: a task alone is reason enough to obey it."""
    named = "names" in stated and ("task" in stated or "stride" in stated)
    return named or stated.get("author") == "Ultralytics" or stated.get("task") in _TASKS


def describe_ultralytics(
    stated: Mapping[str, Any], where: str, box_unit: str = "pixels", end2end_box_unit: str = "pixels"
) -> ArtifactDescription:
    """The description of an Ultralytics export.

    Args:
        stated: name -> value, or the text of one.
        where: the metadata, for errors, such as ``metadata.yaml``.
        box_unit: unit of the boxes that the format's exporter writes: ``pixels`` or ``share``.
        end2end_box_unit: the same for a head that suppresses overlaps itself.
    """
    reader = _Reader(stated, where)
    arguments = reader.value("args")
    nms_applied = isinstance(arguments, Mapping) and _value(arguments.get("nms")) is True
    end2end = reader.value("end2end") is True or nms_applied
    task = reader.task()
    description = ArtifactDescription(
        labels=reader.labels(),
        value_range=(0.0, 1.0),
        mean=(0.0,),
        scale=(1.0,),
        color="gray" if reader.value("channels") == 1 else "rgb",
        size_wh=reader.size_wh(),
        task=task,
        unsupported=tuple(reader.unsupported),
    )
    return _with_task(description, task, str(stated.get("head", "")), end2end, (box_unit, end2end_box_unit))


def _with_task(
    described: ArtifactDescription, task: str | None, head: str, end2end: bool, units: tuple[str, str]
) -> ArtifactDescription:
    if task == "classify":
        # Its transform resizes the shorter side and crops; to a size that is not square it stretches.
        square = described.size_wh is None or described.size_wh[0] == described.size_wh[1]
        resize = "center-crop" if square else "stretch"
        # It filters as Pillow does: over all pixels that shrink into one, as areas do.
        return replace(described, resize=resize, interpolation="area", score_kind="softmax")
    if head == "RTDETRDecoder":
        settings = {"box_format": "cxcywh", "box_unit": "share"}
        thresholds = {**_THRESHOLDS, "iou_threshold": 1.0}
        return replace(described, resize="stretch", decoders={_END2END: settings}, thresholds=thresholds)
    end2end_head, grid = {"box_unit": units[1]}, {"box_unit": units[0]}
    if end2end:
        decoders: dict[str, dict[str, Any]] = {_END2END: end2end_head}
    elif task is None:  # YOLOv5 and YOLOv9, where the number of values per box tells of objectness
        decoders = {_GRID: grid, _END2END: end2end_head}
    else:  # older releases do not say that a head suppresses overlaps
        decoders = {_END2END: end2end_head, _GRID: {**grid, "objectness": False, "transposed": True}}
    thresholds = {**_THRESHOLDS, "iou_threshold": 1.0} if end2end else dict(_THRESHOLDS)
    return replace(described, resize="letterbox", pad_value=114, decoders=decoders, thresholds=thresholds)


class _Reader:
    """Reads single statements, and keeps those that it does not understand."""

    def __init__(self, stated: Mapping[str, Any], where: str) -> None:
        self._stated = stated
        self._where = where
        self.unsupported: list[UnsupportedMetadata] = []

    def value(self, name: str) -> Any:
        """The value of a statement, as `_value` reads it; `None` if absent."""
        return _value(self._stated.get(name))

    def task(self) -> str | None:
        value = self._stated.get("task")
        if value is None:  # the shape of keypoints is said of no other task
            return "pose" if "kpt_shape" in self._stated else None
        return value.strip() if isinstance(value, str) and value.strip() else repr(value)[:80]

    def labels(self) -> tuple[str, ...] | None:
        if "names" not in self._stated:
            return None
        names = self.value("names")
        if isinstance(names, (list, tuple)):
            names = dict(enumerate(names))
        labels = _ordered(names) if isinstance(names, Mapping) else None
        if labels is None:
            self._refuse("labels", "names", "expected a class number and a name for each class")
        return labels

    def size_wh(self) -> tuple[int, int] | None:
        if "imgsz" not in self._stated:
            return None
        value = self.value("imgsz")
        sizes = [_value(size) for size in value] if isinstance(value, (list, tuple)) else [value]
        valid = len(sizes) in (1, 2) and all(
            type(size) is int and 0 < size <= _LARGEST_SIZE for size in sizes
        )
        if not valid:
            self._refuse("size", "imgsz", f"expected one size or [height, width], up to {_LARGEST_SIZE}")
            return None
        return sizes[-1], sizes[0]

    def _refuse(self, field: str, name: str, reason: str) -> None:
        said = f"{self._where}: {name} {shown(str(self._stated[name])[:80])}"
        self.unsupported.append(UnsupportedMetadata(field, said, reason))


def _value(value: Any) -> Any:
    """The value that a text stands for; the text itself if it stands for none, and any other value."""
    if not isinstance(value, str):
        return value
    try:
        return read_literal(value)
    except ValueError:
        return value


def _ordered(names: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Names in the order of their numbers, gaps filled; `None` for anything that is not numbers and names."""
    numbered: dict[int, str] = {}
    for key, name in names.items():
        number = _class_number(key)
        if number is None or number in numbered or not _is_name(name):
            return None
        numbered[number] = str(name)
    if not numbered or max(numbered) >= _MOST_CLASSES:
        return None
    return tuple(numbered.get(number, f"class {number}") for number in range(max(numbered) + 1))


def _class_number(key: object) -> int | None:
    if isinstance(key, str) and key.isascii() and key.isdigit():
        key = int(key[:9])
    return key if isinstance(key, int) and not isinstance(key, bool) and key >= 0 else None


def _is_name(name: object) -> bool:
    return isinstance(name, (str, int)) or (isinstance(name, float) and math.isfinite(name))
