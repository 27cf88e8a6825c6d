"""From the values on a network's grid to those of each pixel of an image: its resize undone exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgevision.imaging.placement import Placement

Floats = NDArray[np.float32]
#: Numbers that are interpolated at a time: those in a processor's cache take a third of the time.
_BLOCK_NUMBERS = 100_000


@dataclass(frozen=True, eq=False)
class _Axis:
    """Where the pixels of an image lie on one axis of the grid.

    Attributes:
        low, high: intp ``(pixels,)``, the two cells between whose centres the pixel's centre lies.
        share: float32 ``(pixels,)``, of the higher cell.
        nearest: intp ``(pixels,)``, the cell that the centre is in.
        seen: bool ``(pixels,)``, whether the network saw the pixel's centre.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: Floats
    nearest: NDArray[np.intp]
    seen: NDArray[np.bool_]

    @property
    def is_exact(self) -> bool:
        """True if each pixel's centre is that of a cell."""
        return not self.share.any()


class Grid:
    """The cells of a network's output, and the pixels of images of one size.

    Args:
        cells_wh: width and height of the output.
        input_wh: width and height of the network's input, which the cells cover.
        image_wh: width and height of the image.
        placement: of the image in the input.
    """

    def __init__(
        self,
        cells_wh: tuple[int, int],
        input_wh: tuple[int, int],
        image_wh: tuple[int, int],
        placement: Placement,
    ) -> None:
        self._x, self._y = (_axis(cells_wh[n], input_wh[n], image_wh[n], placement, n) for n in (0, 1))

    @property
    def seen(self) -> NDArray[np.bool_] | None:
        """bool ``(height, width)``, the pixels that the network saw; `None` for all."""
        if self._x.seen.all() and self._y.seen.all():
            return None
        return np.asarray(self._y.seen[:, None] & self._x.seen)

    def nearest(self, cells: NDArray[np.float32]) -> Floats:
        """The value of the cell that each pixel is in, of ``(height, width)``."""
        return np.asarray(cells[self._y.nearest[:, None], self._x.nearest])

    def interpolated(self, cells: Floats) -> Iterator[tuple[slice, Floats]]:
        """Bilinear values at each pixel's centre: rows of pixels, and ``(channels, rows, width)`` for them.

        Cells outside the part of the input that the image covers have no part in it.

        Args:
            cells: float32 ``(channels, height, width)`` of the grid.
        """
        x, y = self._x, self._y
        rows = max(1, _BLOCK_NUMBERS // max(1, len(x.low) * len(cells)))
        for start in range(0, len(y.low), rows):
            part = slice(start, start + rows)
            low, high, share = y.low[part], y.high[part], y.share[part][:, None]
            # Across first: of most networks the grid has fewer rows than the image.
            needed = cells[:, low[0] : high[-1] + 1]
            across = needed.take(x.low, axis=2)
            if not x.is_exact:
                across += (needed.take(x.high, axis=2) - across) * x.share
            values = across.take(low - low[0], axis=1)
            if share.any():
                values += (across.take(high - low[0], axis=1) - values) * share
            yield part, values


@lru_cache(maxsize=32)
def grid_of(
    cells_wh: tuple[int, int],
    input_wh: tuple[int, int],
    image_wh: tuple[int, int],
    placement: Placement,
) -> Grid:
    """The grid for images of one size; cached, because frames come in one size."""
    return Grid(cells_wh, input_wh, image_wh, placement)


def _axis(cells: int, size: int, pixels: int, placement: Placement, axis: int) -> _Axis:
    scale, shift = float(placement.scale_xyxy[axis]), float(placement.shift_xyxy[axis])
    first, last = float(placement.seen_low[axis]), float(placement.seen_high[axis])
    in_input = (np.arange(pixels) + 0.5 - shift) / scale
    per_pixel = cells / size
    centres = in_input * per_pixel
    # The first and the last cell that the image covers wholly; of a few cells, at least one.
    least = min(int(np.ceil(first * per_pixel - 1e-6)), cells - 1)
    most = max(least, min(int(np.floor(last * per_pixel + 1e-6)) - 1, cells - 1))
    between = np.clip(centres - 0.5, least, most)
    low = np.floor(between + 1e-9).astype(np.intp)
    share = np.maximum(between - low, 0.0)
    share[share < 1e-6] = 0.0
    high = np.minimum(low + 1, most)
    nearest = np.clip(np.floor(centres), least, most).astype(np.intp)
    seen = (in_input >= first - 1e-6) & (in_input <= last + 1e-6)
    return _Axis(low, high, share.astype(np.float32), nearest, seen)
