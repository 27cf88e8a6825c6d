"""The segmentation of one image: the class of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import OptionError, Pixels, class_color, with_legend, write_image

#: Number in a class map for a pixel that the network did not see, or that ground truth leaves out.
VOID = 255
BACKGROUND = "background"
#: Weight of a class's colour over the image.
_OPACITY = 0.45


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The segmentation of one image.

    Attributes:
        class_map: uint8 ``(height, width)`` of the image: index of the class in `labels`; `VOID` (255) for a
            pixel that the network did not see, outside a centre crop.
        labels: one name per class, of 255 at most.
        scores: float32 ``(height, width)``, the score of that class, 0…1; `None` where the network gives
            class numbers, or scores were not asked for.
    """

    class_map: NDArray[np.uint8]
    labels: tuple[str, ...]
    scores: NDArray[np.float32] | None = None

    @property
    def areas(self) -> NDArray[np.int64]:
        """int64 ``(classes,)``: pixels of each class."""
        counts = np.bincount(self.class_map.reshape(-1), minlength=256)
        return counts[: len(self.labels)].astype(np.int64)

    @property
    def shares(self) -> NDArray[np.float64]:
        """float64 ``(classes,)``: each class's share of the pixels that the network saw, 0…1."""
        areas = self.areas.astype(np.float64)
        return np.asarray(areas / max(1.0, float(areas.sum())))

    def area(self, label: str) -> int:
        """Pixels of a class; raises OptionError for one that is not in `labels`."""
        return int(self.areas[self._class_id(label)])

    def mask(self, label: str) -> NDArray[np.bool_]:
        """bool ``(height, width)``, true where a class is; raises OptionError for an unknown class."""
        return np.asarray(self.class_map == self._class_id(label))

    def polygons(self, label: str, tolerance: float = 0.0) -> list[NDArray[np.float32]]:
        """The outlines of a class's connected regions, the largest first.

        Args:
            label: the class.
            tolerance: pixels that an outline may be off, for fewer corners (Douglas and Peucker 1973).

        Returns:
            float32 ``(corners, 2)`` each, x and y in pixels of the image; the outlines of holes follow the
            opposite sense of rotation.

        Raises:
            OptionError: the class is unknown.
        """
        mask = self.mask(label).astype(np.uint8)
        found, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        ordered = sorted(found, key=lambda one: -abs(cv2.contourArea(one)))
        if tolerance > 0:
            ordered = [cv2.approxPolyDP(one, tolerance, True) for one in ordered]
        return [one.reshape(-1, 2).astype(np.float32) for one in ordered]

    def to_dict(self, polygons: bool = False) -> dict[str, Any]:
        """JSON values: each class that is in the image, with its area and mean score.

        Args:
            polygons: add the outlines of each class but background.
        """
        height, width = self.class_map.shape
        rows = []
        for class_id in np.flatnonzero(self.areas).tolist():
            label = self.labels[class_id]
            row: dict[str, Any] = {"class_id": class_id, "label": label, "area": int(self.areas[class_id])}
            row["share"] = round(float(self.shares[class_id]), 6)
            if self.scores is not None:
                row["score"] = round(float(self.scores[self.class_map == class_id].mean()), 6)
            if polygons and label != BACKGROUND:
                row["polygons"] = [one.reshape(-1).tolist() for one in self.polygons(label)]
            rows.append(row)
        unseen = int((self.class_map == VOID).sum())
        return {"size_wh": [width, height], "classes": rows, "unseen": unseen}

    def to_supervision(self) -> Any:
        """One mask per class that is in the image, but background, as ``supervision.Detections``.

        Raises:
            ModuleNotFoundError: supervision is not installed.
        """
        import supervision

        present = [one for one in np.flatnonzero(self.areas).tolist() if self.labels[one] != BACKGROUND]
        masks = np.array([self.class_map == one for one in present], bool).reshape(-1, *self.class_map.shape)
        boxes = supervision.mask_to_xyxy(masks) if present else np.zeros((0, 4))
        return supervision.Detections(
            xyxy=boxes,
            mask=masks,
            class_id=np.array(present, int),
            data={"class_name": np.array([self.labels[one] for one in present])},
        )

    def lines(self) -> list[str]:
        """One line: the share of each class that is in the image, background last, the largest first."""
        order = sorted(
            np.flatnonzero(self.areas).tolist(), key=lambda one: (self._rank(one), -self.areas[one])
        )
        return ["  ".join(f"{self.labels[one]} {100 * self.shares[one]:.1f}%" for one in order)]

    def draw(self, image: Pixels, scale: int = 1) -> Pixels:
        """An image with the classes as colours over it, and their names and shares in lines below.

        Args:
            image: (h, w, 3) uint8 RGB, of the size of the class map, enlarged by `scale`; not changed.
            scale: a whole factor.
        """
        classes = self.class_map.repeat(scale, axis=0).repeat(scale, axis=1) if scale != 1 else self.class_map
        if classes.shape != image.shape[:2]:
            raise OptionError(
                f"draw: the class map is {classes.shape[1]}x{classes.shape[0]}, and the image "
                f"{image.shape[1]}x{image.shape[0]}"
            )
        shown = [one for one in np.flatnonzero(self.areas).tolist() if self._rank(one) == 0]
        shown.sort(key=lambda one: -int(self.areas[one]))
        colors = np.zeros((256, 3), np.float32)
        weights = np.zeros((256, 1), np.float32)
        for one in shown:
            colors[one], weights[one] = class_color(one), _OPACITY
        weight = weights[classes]
        mixed = np.rint(image * (1 - weight) + colors[classes] * weight).astype(np.uint8)
        return with_legend(
            mixed, [(self.labels[one], f"{100 * self.shares[one]:.1f}%", class_color(one)) for one in shown]
        )

    def save(self, path: str | Path) -> None:
        """Write the class map as a grey PNG, in the form that ground truth has.

        Raises:
            OutputError: it cannot be written.
        """
        write_image(Path(path), self.class_map)

    def _rank(self, class_id: int) -> int:
        return int(self.labels[class_id] == BACKGROUND)

    def _class_id(self, label: str) -> int:
        if label not in self.labels:
            raise OptionError(f"class '{label}' is not in the label list ({', '.join(self.labels[:20])})")
        return self.labels.index(label)
