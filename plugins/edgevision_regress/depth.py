"""Depth maps, and other maps of one value per pixel: their description, and the result for one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import OptionError, Pen, Pixels, enlarged, real_number, whole_number

Values = NDArray[np.float32]
_WHITE = (255, 255, 255)
#: The narrowest picture with a scale bar below it, in pixels.
_LEAST_WIDTH = 200


@dataclass(frozen=True)
class DepthTask:
    """A map of one value per pixel, such as depth, height or density.

    Attributes:
        output: name of the output: ``(batch, height, width)``, with one channel, first or last, or without.
        range: (low, high) of the values in `unit`: what errors are compared with, and the ends of the colours
            of drawings. Values beyond it are given as they are.
        unit: such as ``m``; empty for values without one.
        value: what the values are, for people.
        factor: the network's numbers times this are values in `unit`.
        png_step: value of one step of ground truth as 16-bit PNG, such as 0.001 for millimetres in ``m``;
            `None` if it is in other files.
        overlap: pixels that neighbouring tiles share, for a network that sees images of any size in tiles of
            its own size; `None` for one that sees the whole image, resized.

    Raises:
        OptionError: a field has a wrong value; names it.
    """

    name: ClassVar[str] = "depth"
    output: str
    range: tuple[float, float]
    unit: str = ""
    value: str = "depth"
    factor: float = 1.0
    png_step: float | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        for field in ("output", "unit", "value"):
            if not isinstance(getattr(self, field), str):
                raise OptionError(f"{field}: expected text, got {getattr(self, field)!r:.80}")
        ends = self.range
        if isinstance(ends, (str, bytes)) or not isinstance(ends, Sequence) or len(ends) != 2:
            raise OptionError(f"range: expected a low number, then a higher, got {ends!r:.80}")
        low, high = (real_number(end, "range") for end in ends)
        if not low < high:
            raise OptionError(f"range: expected a low number, then a higher, got {ends!r:.80}")
        object.__setattr__(self, "range", (low, high))
        object.__setattr__(self, "factor", real_number(self.factor, "factor"))
        if self.factor == 0:
            raise OptionError("factor: expected a number other than 0")
        if self.png_step is not None:
            object.__setattr__(self, "png_step", real_number(self.png_step, "png_step"))
            if not self.png_step > 0:
                raise OptionError(f"png_step: expected a number above 0, got {self.png_step:g}")
        if self.overlap is not None:
            object.__setattr__(self, "overlap", whole_number(self.overlap, "overlap", 0))

    @property
    def width(self) -> float:
        """How far apart the ends of the range are."""
        return self.range[1] - self.range[0]

    @property
    def read_outputs(self) -> dict[str, str]:
        """The output that is read."""
        return {self.output: ""}


@dataclass(frozen=True, eq=False)
class DepthMap:
    """The values at the pixels of one image.

    Attributes:
        values: float32 ``(height, width)`` of the image, in the task's unit; NaN where the network did not
            see the image, which a centre crop leaves out.
        task: their name, unit and range.
    """

    values: Values
    task: DepthTask

    @property
    def unseen(self) -> int:
        """Number of pixels without a value."""
        return int(np.isnan(self.values).sum())

    def at(self, x: float, y: float) -> float:
        """The value at a point in pixels of the image; NaN where there is none.

        Raises:
            OptionError: the point is not in the image.
        """
        height, width = self.values.shape
        if not (0 <= x < width and 0 <= y < height):
            raise OptionError(f"at: ({x:g}, {y:g}) is not in the image, which is {width}x{height}")
        return float(self.values[int(y), int(x)])

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the least, median, mean and greatest; `None` where no pixel has a value."""
        known = self.values[~np.isnan(self.values)].astype(np.float64)
        of = (np.min, np.median, np.mean, np.max)
        names = ("least", "median", "mean", "greatest")
        numbers = [round(float(each(known)), 6) if len(known) else None for each in of]
        return {
            "value": self.task.value,
            "unit": self.task.unit,
            **dict(zip(names, numbers, strict=True)),
            "unseen": self.unseen,
        }

    def lines(self) -> list[str]:
        """The least, the median and the greatest value in one line."""
        found = self.to_dict()
        if found["least"] is None:
            return [f"{self.task.value}: no pixel has a value"]
        numbers = f"{found['least']:.4g} … {found['greatest']:.4g}, median {found['median']:.4g}"
        return [f"{self.task.value} {numbers} {self.task.unit}".rstrip()]

    def draw(self, image: Pixels, scale: int = 1) -> Pixels:
        """The values as colours, with a scale bar below: from blue, the low end of the range, to yellow.

        The colours are those of cividis (Nuñez, Anderton and Renslow 2018), which people with colour vision
        deficiencies see alike; beyond the range they are those of its ends. Pixels without a value show the
        image.

        Args:
            image: (h, w, 3) uint8 RGB, of the size of the map, enlarged by `scale`; not changed.
            scale: a whole factor.
        """
        values = self.values.repeat(scale, axis=0).repeat(scale, axis=1) if scale != 1 else self.values
        if values.shape != image.shape[:2]:
            raise OptionError(
                f"draw: the map is {values.shape[1]}x{values.shape[0]}, and the image "
                f"{image.shape[1]}x{image.shape[0]}"
            )
        low, _ = self.task.range
        known = ~np.isnan(values)
        shares = np.where(known, (values - low) / self.task.width, 0.0)
        mixed = np.where(known[..., None], _colored(shares), image).astype(np.uint8)
        return self._with_scale_bar(enlarged(mixed)[0])

    def _with_scale_bar(self, picture: Pixels) -> Pixels:
        height, width = picture.shape[:2]
        pen = Pen.for_picture(picture)
        out = np.zeros((height + 2 * pen.height, max(width, _LEAST_WIDTH), 3), np.uint8)
        left = (out.shape[1] - width) // 2
        out[:height, left : left + width] = picture
        bar = out[height + pen.margin : height + pen.height, pen.margin : out.shape[1] - pen.margin]
        bar[:] = _colored(np.linspace(0, 1, bar.shape[1])[None])
        low, high = (f"{end:g} {self.task.unit}".rstrip() for end in self.task.range)
        pen.write(out, low, 0, height + pen.height, _WHITE)
        pen.write(out, high, out.shape[1] - pen.width(high), height + pen.height, _WHITE)
        between = out.shape[1] - pen.width(low) - pen.width(high)
        name = pen.fitting(self.task.value, between)
        pen.write(out, name, pen.width(low) + (between - pen.width(name)) // 2, height + pen.height, _WHITE)
        return out


def _colored(shares: NDArray[Any]) -> Pixels:
    """(h, w, 3) uint8 RGB, of shares of the range ``(h, w)``."""
    levels = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)
    colors: Pixels = np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS)[..., ::-1])
    return colors
