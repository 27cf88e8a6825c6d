"""Generated images, with everything needed to reproduce them."""

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
from edgevision.system.arguments import instance, one_path, text
from edgevision.system.files import make_folder
from edgevision.system.numeric import is_whole, plain
from edgevision.system.shown import shown
from edgevision.tasks.generation.geometry import Geometry
from edgevision.tensors import Array, all_finite

if TYPE_CHECKING:
    from edgevision.system.numeric import WholeNumber

Pixels = NDArray[np.uint8]

#: Share of the range by which a value is beyond black or white, and no overshoot.
_BEYOND = 0.1
#: Ranges that the values of an image span at most, if these are right.
_FAR = 3.0


@dataclass(frozen=True, eq=False)
class GeneratedImages:
    """Generated images.

    Iterating and indexing give single images, uint8 ``(h, w, c)``.

    Attributes:
        images: uint8 ``(n, h, w, c)``: RGB with c = 3, grey with c = 1.
        seeds: one per image; empty for image-to-image networks.
        settings: all other settings, as JSON values. The same settings and seed give the same image on
            the same backend and device, whatever else is in the batch.
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
        """The images cropped, rotated and flipped.

        Raises:
            OptionError: the crop exceeds the images.
        """
        geometry = instance(geometry, Geometry, "geometry")
        return replace(self, images=np.ascontiguousarray(geometry.apply(self.images)))

    def save(self, folder: str | Path, stem: str = "image") -> list[Path]:
        """Write each image as PNG, ``STEM-INDEX-seed-SEED.png``; existing files are replaced.

        Args:
            folder: created if missing.
            stem: the first part of each name.

        Returns:
            The files, in the order of the images.

        Raises:
            OutputError: a file cannot be written; those before it remain, it does not.
        """
        folder, stem = one_path(folder, "folder"), text(stem, "stem")
        if len(stem) > _LONGEST_STEM or not stem.isprintable() or {"/", "\\"} & set(stem):
            raise OptionError(f"stem: expected the first part of a file name, got {shown(stem)}")
        make_folder(folder)
        paths = [folder / f"{stem}-{place:04d}{self._seed(place)}.png" for place in range(len(self))]
        for path, image in zip(paths, self, strict=True):
            write_image(path, image)
        return paths

    def grid(self, columns: WholeNumber | None = None, gap: WholeNumber = 1) -> Pixels:
        """All images on one contact sheet, row by row.

        Args:
            columns: images per row; by default as many as make the sheet square.
            gap: black pixels between images.

        Returns:
            uint8 ``(height, width, c)``.

        Raises:
            OptionError: there are no images, or a number is too small.
        """
        columns = math.ceil(math.sqrt(len(self))) if columns is None else plain(columns)
        gap = plain(gap)
        if len(self) == 0 or not is_whole(columns, 1) or not is_whole(gap):
            raise OptionError(
                f"grid: expected images, 1 column or more and a gap of 0 or more, "
                f"got {len(self)} images, {shown(columns)} columns, a gap of {shown(gap)}"
            )
        count, height, width, channels = self.images.shape
        rows = -(-count // columns)
        if rows * (height + gap) * columns * (width + gap) > _MOST_PIXELS:
            raise OptionError(
                f"grid: {columns} columns with a gap of {gap} make a sheet of more than {_MOST_PIXELS} pixels"
            )
        sheet = np.zeros((rows, height + gap, columns, width + gap, channels), np.uint8)
        for place, image in enumerate(self):
            sheet[place // columns, :height, place % columns, :width] = image
        flat = sheet.reshape(rows * (height + gap), columns * (width + gap), channels)
        return flat[: flat.shape[0] - gap, : flat.shape[1] - gap]

    def _seed(self, place: int) -> str:
        return f"-seed-{self.seeds[place]}" if self.seeds else ""


#: File names have up to 255 bytes.
_LONGEST_STEM = 60
#: Of a contact sheet.
_MOST_PIXELS = 100_000_000


def to_pixels(values: Array, output_range: tuple[float, float], color: str) -> Pixels:
    """Pixels from a network's output: clipped, and rounded to the nearest.

    Args:
        values: real numbers ``(n, h, w, c)``.
        output_range: (low, high): the values of black and white.
        color: channel order: ``rgb``, ``bgr`` or ``gray``.

    Returns:
        uint8 ``(n, h, w, c)``, RGB or grey.

    Raises:
        InferenceError: a value is NaN or infinite: the network is broken, and any image would be wrong.
    """
    check_finite(values)
    low, high = output_range
    scaled = values - low
    scaled *= 255.0 / (high - low)
    pixels: Pixels = np.rint(scaled.clip(0.0, 255.0, out=scaled), out=scaled).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., ::-1]) if color == "bgr" else pixels


def check_range(values: Array, output_range: tuple[float, float]) -> None:
    """Refuse values most of which are far from the range: as pixels they would be black and white alone.

    Args:
        values, output_range: as for `to_pixels`.

    Raises:
        InferenceError: names the range.
    """
    low, high = output_range
    span = high - low
    if values.size == 0 or (values.max() <= low + _FAR * span and values.min() >= high - _FAR * span):
        return
    if np.mean((values < low - _BEYOND * span) | (values > high + _BEYOND * span)) > 0.5:
        raise InferenceError(
            f"the network's images have values of {float(values.min()):.4g} to {float(values.max()):.4g}, "
            f"most of them outside of the range {output_range[0]:g} to {output_range[1]:g} that stands for "
            "black and white; convert the model with the right --output-range"
        )


def check_finite(values: Array) -> None:
    """Check that an output has finite values only.

    Raises:
        InferenceError: a value is NaN or infinite.
    """
    if not all_finite(values):
        raise InferenceError("the network gave NaN or infinity; expected finite pixels")
