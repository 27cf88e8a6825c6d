"""Crops, rotations and flips of images, and their inverses: exact, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.system.arguments import array, one_of
from edgevision.system.numeric import is_whole, plain_fields
from edgevision.system.shown import shown
from edgevision.tensors import Array

FLIPS = ("none", "horizontal", "vertical")
ROTATIONS_DEGREES = (0, 90, 180, 270)


@dataclass(frozen=True)
class Geometry:
    """A crop, then a rotation, then a flip.

    Attributes:
        crop_xywh: left, top, width and height in pixels; `None` keeps the whole image.
        rotate_degrees: clockwise: 0, 90, 180 or 270.
        flip: ``none``, ``horizontal`` (left and right exchanged) or ``vertical`` (top and bottom).

    Raises:
        OptionError: a field has an invalid value; names the field.
    """

    crop_xywh: tuple[int, int, int, int] | None = None
    rotate_degrees: int = 0
    flip: str = "none"

    def __post_init__(self) -> None:
        plain_fields(self, "crop_xywh", "rotate_degrees")
        if not is_whole(self.rotate_degrees) or self.rotate_degrees not in ROTATIONS_DEGREES:
            raise OptionError(f"rotate_degrees: expected 0, 90, 180 or 270, got {shown(self.rotate_degrees)}")
        one_of(self.flip, FLIPS, "flip")
        if self.crop_xywh is not None and not _is_box(self.crop_xywh):
            raise OptionError(
                f"crop_xywh: expected left, top, width and height, whole numbers, got {shown(self.crop_xywh)}"
            )

    def apply(self, images: NDArray[Any]) -> NDArray[Any]:
        """Transform one image or several.

        Args:
            images: ``(…, h, w, c)`` of any dtype.

        Returns:
            ``(…, h', w', c)``; a view of `images` where possible.

        Raises:
            OptionError: the crop exceeds the image.
        """
        images = self._cropped(array(images, "images", axes=_AXES))
        images = np.rot90(images, -self.rotate_degrees // 90, axes=(-3, -2))
        if self.flip == "none":
            return images
        return np.flip(images, -2 if self.flip == "horizontal" else -3)

    def _cropped(self, images: NDArray[Any]) -> NDArray[Any]:
        if self.crop_xywh is None:
            return images
        left, top, width, height = self.crop_xywh
        if left + width > images.shape[-2] or top + height > images.shape[-3]:
            raise OptionError(
                f"crop_xywh: {self.crop_xywh} exceeds the image of "
                f"{images.shape[-2]} x {images.shape[-3]} pixels"
            )
        return images[..., top : top + height, left : left + width, :]


#: Axes of one image or several, (…, h, w, c).
_AXES = (3, 4, 5)

#: The eight rotations and flips of an image, the identity first.
EIGHT_WAYS = tuple(
    Geometry(rotate_degrees=degrees, flip=flip) for flip in FLIPS[:2] for degrees in ROTATIONS_DEGREES
)


def inverted(way: Geometry, image: Array) -> Array:
    """`image` with the rotation and flip of `way` undone."""
    unflipped = Geometry(flip=way.flip).apply(image)
    return Geometry(rotate_degrees=-way.rotate_degrees % 360).apply(unflipped)


def _is_box(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 4 and all(map(is_whole, value)) and min(value[2:]) >= 1
