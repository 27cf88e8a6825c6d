"""Image-to-image networks: denoising, super-resolution, reconstruction, translation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.imaging.decode import ImageLike, as_frame
from edgevision.imaging.frame import Frame
from edgevision.imaging.levels import known_levels
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.imaging.tiles import Blender, axis_tiles, padded_image
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import flag, instance
from edgevision.tasks.base import image_input, image_output, where_it_ran
from edgevision.tasks.batches import is_batch
from edgevision.tasks.description import GenerateTask
from edgevision.tasks.generation.geometry import EIGHT_WAYS, Geometry, inverted
from edgevision.tasks.generation.images import GeneratedImages, check_range, to_pixels
from edgevision.tasks.generation_settings import ImageToImageSettings
from edgevision.tasks.image_model import ImageModel
from edgevision.tensors import Array

#: The most tiles of one image in one run of a network with a dynamic batch.
BATCH = 16
#: The most pixels of tiles in one run on a CPU: more are no faster (LiteRT and OpenVINO, tiles of 32 to 256
#: pixels: `benchmarks/tiles.py`), and the memory of activations grows with them.
_CPU_PIXELS = 256 * 256

_IDENTITY = Geometry()


class ImageToImage(ImageModel[GeneratedImages]):
    """An image-to-image network. Safe to share between threads.

    Args:
        session: the network, with an image as its only input.
        task: of the kind ``image-to-image``.
        preprocessing: from an image to the network's input.

    Raises:
        OptionError: the network's tensors are wrong for the task.
    """

    def __init__(self, session: CheckedSession, task: GenerateTask, preprocessing: Preprocessing) -> None:
        super().__init__(session)
        task = instance(task, GenerateTask, "task")
        preprocessing = instance(preprocessing, Preprocessing, "preprocessing")
        if not isinstance(task.settings, ImageToImageSettings):
            raise OptionError(f"image-to-image: expected a task of that kind, got '{task.kind}'")
        self.task = task
        self.preprocessing = preprocessing
        self._settings = task.settings
        self._input = image_input(session, "image-to-image")
        self._output = image_output(session, task.output, task.color)
        self._preprocess = Preprocessor(preprocessing, self._input)
        self._tile_wh = preprocessing.size_wh
        self._out_wh = int(self._output.shape[2] or 0), int(self._output.shape[1] or 0)
        for size, out in zip(self._tile_wh, self._out_wh, strict=True):
            self._axis(size, size, out)

    @property
    def scale_wh(self) -> tuple[float, float]:
        """Output pixels per input pixel, horizontally and vertically."""
        width, height = (out / size for out, size in zip(self._out_wh, self._tile_wh, strict=True))
        return width, height

    @overload
    def __call__(
        self,
        images: ImageLike,
        color: str = "rgb",
        *,
        before: Geometry = _IDENTITY,
        after: Geometry = _IDENTITY,
        ensemble: bool = False,
    ) -> GeneratedImages: ...
    @overload
    def __call__(
        self,
        images: list[Any] | tuple[Any, ...],
        color: str = "rgb",
        *,
        before: Geometry = _IDENTITY,
        after: Geometry = _IDENTITY,
        ensemble: bool = False,
    ) -> list[GeneratedImages]: ...

    def __call__(
        self,
        images: Any,
        color: str = "rgb",
        *,
        before: Geometry = _IDENTITY,
        after: Geometry = _IDENTITY,
        ensemble: bool = False,
    ) -> GeneratedImages | list[GeneratedImages]:
        """Transform one image, or each of a batch.

        Args:
            images: one image: an array uint8 ``(h, w, 3)`` or grey ``(h, w)`` (or with more bits, where the
                preprocessing says how they map), a path, the bytes of an image file, a PIL image, or a
                `YuvFrame`; or a batch: a list or tuple of these, or an array uint8 ``(n, h, w, 3)``. A type
                checker cannot count the axes of an array and takes it for one image: where types matter,
                pass a batch as ``list(array)``.
            color: channel order of arrays: ``rgb`` or ``bgr``; or a YUV format, such as ``nv12`` or ``yuyv``.
            before, after: crop, rotation and flip of the input image and of the output image.
            ensemble: the mean of eight runs, on the image rotated and flipped in every way, each then
                inverted: eight times as slow, and a little better for networks that were trained with
                rotations and flips ("geometric self-ensemble", Lim et al. 2017, section 3.4).

        Returns:
            `GeneratedImages` with one image, `scale_wh` times as large as the input (for
            ``fit="resize"``, as large as the network's output); or a list of them for a batch, in its order.

        Raises:
            InputError: an image cannot be read, or has none of the forms above.
            OptionError: a crop exceeds its image.
            InferenceError: the runtime failed, or the network gave NaN or infinity.
        """
        before, after = instance(before, Geometry, "before"), instance(after, Geometry, "after")
        ensemble = flag(ensemble, "ensemble")
        if observers.listening and self.observed:
            from edgevision.tasks.observed import observed_call

            options: Any = {"before": before, "after": after, "ensemble": ensemble}
            return cast(
                "GeneratedImages | list[GeneratedImages]",
                observed_call(self, images, color, lambda model, given: model(given, **options)),
            )
        if is_batch(images):
            return [self._edit(image, color, before, after, ensemble) for image in images]
        return self._edit(images, color, before, after, ensemble)

    def _edit(
        self, image: ImageLike, color: str, before: Geometry, after: Geometry, ensemble: bool
    ) -> GeneratedImages:
        # Black and white of the whole image count for its tiles too.
        frame = known_levels(as_frame(image, color), self.preprocessing.mapping)
        frame = replace(frame, pixels=_transformed(before, frame.pixels))
        if self._settings.fit == "resize":
            frame = self._resized(frame)
        ways = self._ways(ensemble)
        turned = (replace(frame, pixels=_transformed(way, frame.pixels)) for way in ways)
        runs = [inverted(way, self._run(one)) for way, one in zip(ways, turned, strict=True)]
        values = (np.mean(runs, axis=0) if ensemble else runs[0])[np.newaxis]
        check_range(values, self.task.output_range)
        generated = to_pixels(values, self.task.output_range, self.task.color)
        settings = {"kind": self.task.kind, **where_it_ran(self.session), "ensemble": ensemble}
        return GeneratedImages(generated, settings=settings).changed(after)

    def _resized(self, frame: Frame) -> Frame:
        if frame.levels is not None:
            return self.preprocessing.resized_frame(frame)
        return replace(frame, pixels=self.preprocessing.resized_pixels(frame.pixels))

    def _ways(self, ensemble: bool) -> Sequence[Geometry]:
        if not ensemble:
            return EIGHT_WAYS[:1]
        any_shape = self._settings.fit == "tiles" or self._tile_wh[0] == self._tile_wh[1]
        return [way for way in EIGHT_WAYS if any_shape or way.rotate_degrees in (0, 180)]

    def _axis(self, size: int, tile: int, out: int) -> Any:
        overlap = self._settings.overlap if self._settings.fit == "tiles" else 0
        return axis_tiles(size, tile, out, overlap)

    def _run(self, frame: Frame) -> NDArray[np.float32]:
        """The whole output for one image: float32 ``(h, w, channels)``."""
        pixels = frame.pixels
        (tile_width, tile_height), (out_width, out_height) = self._tile_wh, self._out_wh
        rows = self._axis(pixels.shape[0], tile_height, out_height)
        columns = self._axis(pixels.shape[1], tile_width, out_width)
        padded = padded_image(pixels, rows, columns)
        blender = Blender(rows, columns, int(self._output.shape[3] or 0), self._settings.overlap)
        places = [(top, left) for top in rows.starts for left in columns.starts]
        size = self._tiles_at_once()
        for start in range(0, len(places), size):
            corners = places[start : start + size]
            tiles = [padded[top : top + tile_height, left : left + tile_width] for top, left in corners]
            frames = [replace(frame, pixels=np.ascontiguousarray(tile)) for tile in tiles]
            for (top, left), output in zip(corners, self._run_tiles(frames), strict=True):
                blender.add(top, left, output)
        return blender.image()

    def _tiles_at_once(self) -> int:
        if not self.session.dynamic_batch:
            return 1
        if self.session.device != "cpu":
            return BATCH
        width, height = self._tile_wh
        return min(BATCH, max(1, _CPU_PIXELS // (width * height)))

    def _run_tiles(self, tiles: Sequence[Frame]) -> NDArray[np.float32]:
        with self.session.lease(len(tiles)) as slot:
            for row, tile in zip(slot.inputs[self._input.name], tiles, strict=True):
                self._preprocess.put(tile, row)
            return self._output.dequantize(slot.run()[self._output.name])


def _transformed(geometry: Geometry, pixels: Array) -> Array:
    """Pixels ``(h, w, 3)`` or ``(h, w)`` after a crop, rotation and flip."""
    if geometry == _IDENTITY:
        return pixels
    grey = pixels.ndim == 2
    result = geometry.apply(pixels[..., np.newaxis] if grey else pixels)
    return np.ascontiguousarray(result[..., 0] if grey else result)
