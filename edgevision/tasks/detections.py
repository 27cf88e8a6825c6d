"""Detected objects as parallel arrays, and their conversion for other tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from edgevision.decoder import Floats, Ints
from edgevision.errors import OptionError, PluginError
from edgevision.system.arguments import whole_number

if TYPE_CHECKING:
    from edgevision.system.numeric import WholeNumber


@dataclass(frozen=True, eq=False)
class Detection:
    """One object.

    Attributes:
        label: the name of its class.
        score: 0…1.
        box_xyxy: float32 ``(4,)``: left, top, right, bottom in pixels of the caller's image.
        class_id: the index of the class in the labels.
        tracker_id: id of the object in a stream that follows objects, -1 if it has none (yet); else `None`.
    """

    label: str
    score: float
    box_xyxy: Floats
    class_id: int
    tracker_id: int | None = None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """`box_xyxy` as plain numbers."""
        left, top, right, bottom = self.box_xyxy.tolist()
        return left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects in one image, as parallel arrays.

    A detector returns them with the best first. ``found[2]`` is the third `Detection`;
    ``found[found.scores > 0.5]``, ``found[:3]`` and ``found[[2, 0]]`` are `Detections` again.

    Attributes:
        boxes_xyxy: float32 ``(n, 4)``: left, top, right, bottom in pixels of the caller's image,
            which spans 0…width and 0…height.
        scores: float32 ``(n,)``, each 0…1.
        class_ids: int64 ``(n,)``, indices in `class_names`.
        class_names: one per class; empty if unknown.
        pixel_spacing_mm: distance of two rows, then of two columns of the image, in mm, as its DICOM file
            states it; `None` if unknown.
        tracker_id: int64 ``(n,)``: ids of the objects in a stream that follows objects, the same in each
            frame, -1 for an object without one (yet); `None` where objects are not followed.

    Raises:
        OptionError: the shapes of the arrays do not match.
    """

    boxes_xyxy: Floats
    scores: Floats
    class_ids: Ints
    class_names: tuple[str, ...] = ()
    pixel_spacing_mm: tuple[float, float] | None = None
    tracker_id: Ints | None = None

    def __post_init__(self) -> None:
        count = len(self.scores)
        shapes = self.boxes_xyxy.shape, self.scores.shape, self.class_ids.shape
        if shapes != ((count, 4), (count,), (count,)):
            raise OptionError(
                f"detections: expected boxes (n, 4), scores (n,) and class ids (n,), got {shapes}"
            )
        if self.tracker_id is not None and self.tracker_id.shape != (count,):
            raise OptionError(
                f"detections: expected tracker ids ({count},), as many as scores, got {self.tracker_id.shape}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The class name of each object; such as ``class 3`` if names are unknown."""
        return tuple(self._label(number) for number in self.class_ids.tolist())

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        """Every `Detection`, the best first."""
        return (self._at(int(place)) for place in np.argsort(-self.scores, kind="stable"))

    @overload
    def __getitem__(self, key: WholeNumber) -> Detection: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray[Any, Any]) -> Detections: ...

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            return self._at(int(key))
        places = np.arange(len(self))[key]
        chosen = self.boxes_xyxy[places], self.scores[places], self.class_ids[places]
        ids = None if self.tracker_id is None else self.tracker_id[places]
        return Detections(*chosen, self.class_names, self.pixel_spacing_mm, ids)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: every object, the best first."""
        objects = [
            {
                "label": detection.label,
                "score": detection.score,
                "box_xyxy": list(detection.box),
                "class_id": detection.class_id,
                **_tracked(detection),
            }
            for detection in self
        ]
        if self.pixel_spacing_mm is None:
            return {"objects": objects}
        return {"objects": objects, "pixel_spacing_mm": list(self.pixel_spacing_mm)}

    def to_coco(self, image_id: WholeNumber) -> list[dict[str, Any]]:
        """COCO's results format: one entry per object, the best first.

        Args:
            image_id: the id of the image in the annotations.

        Returns:
            ``image_id``, ``category_id`` (the class id), ``bbox`` (left, top, width, height) and
            ``score`` of each; ``tracker_id`` where objects are followed.

        Raises:
            OptionError: `image_id` is not a whole number of 0 or more.
        """
        number = whole_number(image_id, "image_id", least=0)
        return [_coco(detection, number) for detection in self]

    def to_supervision(self) -> Any:
        """As ``supervision.Detections``, with the labels as ``data["class_name"]``, and `tracker_id`.

        Raises:
            PluginError: supervision is not installed; names the install command.
        """
        try:
            import supervision
        except ImportError as error:
            raise PluginError("supervision is not installed; run: pip install supervision") from error
        return supervision.Detections(
            xyxy=self.boxes_xyxy,
            confidence=self.scores,
            class_id=self.class_ids,
            tracker_id=self.tracker_id,
            data={"class_name": np.array(self.labels, str)},
        )

    def _at(self, place: int) -> Detection:
        class_id = int(self.class_ids[place])
        followed = None if self.tracker_id is None else int(self.tracker_id[place])
        score, box = float(self.scores[place]), self.boxes_xyxy[place]
        return Detection(self._label(class_id), score, box, class_id, followed)

    def _label(self, class_id: int) -> str:
        return self.class_names[class_id] if self.class_names else f"class {class_id}"


def _coco(detection: Detection, image_id: int) -> dict[str, Any]:
    left, top, right, bottom = detection.box
    bbox = [left, top, right - left, bottom - top]
    return {
        "image_id": image_id,
        "category_id": detection.class_id,
        "bbox": bbox,
        "score": detection.score,
        **_tracked(detection),
    }


def _tracked(detection: Detection) -> dict[str, int]:
    return {} if detection.tracker_id is None else {"tracker_id": detection.tracker_id}
