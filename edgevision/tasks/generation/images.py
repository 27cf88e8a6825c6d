"""Images that a network made, and what it takes to make them again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InferenceError, OptionError
from edgevision.imaging.write import write_image
from edgevision.numeric import is_whole, plain
from edgevision.system.files import make_folder
from edgevision.tasks.generation.geometry import Geometry
from edgevision.tensors import Array, all_finite

if TYPE_CHECKING:
    from edgevision.numeric import WholeNumber

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class GeneratedImages:
    """Images that a network made.

    Iterating and indexing give single images, uint8 ``(h, w, c)``.

    Attributes:
        images: uint8 ``(n, h, w, c)``: RGB with c = 3, grey with c = 1.
        seeds: one an image; empty where an image was made from an image.
        settings: what else made them: JSON values. The same settings with the same seed give the
            same image on the same backend and device, whichever others are made with it.
    """

    images: Pixels
    seeds: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Pixels]:
        return iter(self.images)

    def __getitem__(self, position: WholeNumber) -> Pixels:
        image: Pixels = self.images[position]
        return image

    def changed(self, geometry: Geometry) -> GeneratedImages:
        """The same images cropped, turned and mirrored.

        Raises:
            OptionError: the crop reaches out of the images.
        """
        return replace(self, images=np.ascontiguousarray(geometry.apply(self.images)))

    def save(self, folder: str | Path, stem: str = "image") -> list[Path]:
        """Write each image as PNG, ``STEM-PLACE-seed-SEED.png``, and replace what has that name.

        Args:
            folder: made where it is missing.
            stem: begins each name.

        Returns:
            The files, in the order of the images.

        Raises:
            OutputError: a file cannot be written. Those before it stay, it is not left behind.
        """
        folder = Path(folder)
        make_folder(folder)
        paths = [folder / f"{stem}-{place:04d}{self._seed(place)}.png" for place in range(len(self))]
        for path, image in zip(paths, self, strict=True):
            write_image(path, image)
        return paths

    def grid(self, columns: WholeNumber | None = None, gap: WholeNumber = 1) -> Pixels:
        """All images on one contact sheet, row by row.

        Args:
            columns: images in a row; by default as many as make the sheet square.
            gap: black pixels between images.

        Returns:
            uint8 ``(height, width, c)``.

        Raises:
            OptionError: there is no image, or a number is too small.
        """
        columns = math.ceil(math.sqrt(len(self))) if columns is None else plain(columns)
        gap = plain(gap)
        if len(self) == 0 or not is_whole(columns, 1) or not is_whole(gap):
            raise OptionError(
                f"grid: expected images, 1 column or more and a gap of 0 or more, "
                f"got {len(self)} images, {columns!r} columns, a gap of {gap!r}"
            )
        count, height, width, channels = self.images.shape
        rows = -(-count // columns)
        sheet = np.zeros((rows, height + gap, columns, width + gap, channels), np.uint8)
        for place, image in enumerate(self):
            sheet[place // columns, :height, place % columns, :width] = image
        flat = sheet.reshape(rows * (height + gap), columns * (width + gap), channels)
        return flat[: flat.shape[0] - gap, : flat.shape[1] - gap]

    def _seed(self, place: int) -> str:
        return f"-seed-{self.seeds[place]}" if self.seeds else ""


def to_pixels(values: Array, output_range: tuple[float, float], color: str) -> Pixels:
    """From what a network gives to pixels: clipped, and rounded to the nearest.

    Args:
        values: real numbers ``(n, h, w, c)``.
        output_range: (low, high): the values of black and white.
        color: order of the channels: ``rgb``, ``bgr`` or ``gray``.

    Returns:
        uint8 ``(n, h, w, c)``, RGB or grey.

    Raises:
        InferenceError: a value is NaN or infinite: the network is broken, and no image is right.
    """
    check_finite(values)
    low, high = output_range
    scaled = values - low
    scaled *= 255.0 / (high - low)
    pixels: Pixels = np.rint(scaled.clip(0.0, 255.0, out=scaled), out=scaled).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1]) if color == "bgr" else pixels


def check_finite(values: Array) -> None:
    """Refuse what no image is made of.

    Raises:
        InferenceError: a value is NaN or infinite.
    """
    if not all_finite(values):
        raise InferenceError("the network gave NaN or infinity; expected finite pixels")
