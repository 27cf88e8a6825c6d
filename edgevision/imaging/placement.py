"""The position of an image in the network's input, and the way back for boxes: the resize inverted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.decoder import Floats
from edgevision.imaging.preprocess import Preprocessing
from edgevision.imaging.resize import center_crop_xywh, letterbox_xywh


@dataclass(frozen=True, eq=False)
class Placement:
    """The relation between coordinates in an image and in the network's input; from `placement_of`.

    Both count pixels from the top left corner of the top left pixel: an image spans 0…width and 0…height.

    Attributes:
        scale_xyxy, shift_xyxy: float64 (4,): image = input * scale + shift.
        seen_low, seen_high: float64 (4,): the corners, each twice, of the part of the input that the
            image covers.
        image_high: float64 (4,): the image's lower right corner, twice.
    """

    scale_xyxy: NDArray[np.float64]
    shift_xyxy: NDArray[np.float64]
    seen_low: NDArray[np.float64]
    seen_high: NDArray[np.float64]
    image_high: NDArray[np.float64]

    def seen(self, boxes_xyxy: NDArray[Any]) -> NDArray[np.float64]:
        """Boxes (n, 4) in the input, clipped to the part that the image covers."""
        boxes = np.asarray(boxes_xyxy, np.float64)
        return np.minimum(np.maximum(boxes, self.seen_low), self.seen_high)

    def to_image(self, boxes_xyxy: NDArray[Any]) -> Floats:
        """Boxes (n, 4) in pixels of the input, as float32 in pixels of the image, clipped to it."""
        boxes = np.asarray(boxes_xyxy, np.float64) * self.scale_xyxy + self.shift_xyxy
        return np.minimum(np.maximum(boxes, 0.0), self.image_high).astype(np.float32)

    def to_input(self, boxes_xyxy: NDArray[Any]) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels of the image, in pixels of the input; they may exceed a crop."""
        boxes: NDArray[np.float64] = (np.asarray(boxes_xyxy, np.float64) - self.shift_xyxy) / self.scale_xyxy
        return boxes


@lru_cache(maxsize=64)
def placement_of(preprocessing: Preprocessing, image_size_wh: tuple[int, int]) -> Placement:
    """The placement of images of one size; cached, because frames come in one size."""
    input_wh = preprocessing.size_wh
    # The part of the image that is used, and the part of the input that it fills.
    taken, filled = (0, 0, *image_size_wh), (0, 0, *input_wh)
    if preprocessing.resize == "center-crop":
        taken = center_crop_xywh(image_size_wh, input_wh)
    elif preprocessing.resize == "letterbox":
        filled = letterbox_xywh(image_size_wh, input_wh)
    elif preprocessing.resize == "corner-letterbox":
        filled = (0, 0, *letterbox_xywh(image_size_wh, input_wh)[2:])
    scale = np.array(taken[2:], np.float64) / np.array(filled[2:], np.float64)
    shift = np.array(taken[:2]) - np.array(filled[:2]) * scale
    corner = np.array(filled[:2], np.float64)
    high = np.array(image_size_wh, np.float64)
    low_high = corner, corner + filled[2:], high
    return Placement(*(np.tile(pair, 2) for pair in (scale, shift, *low_high)))
