"""An image of any size through a network of one size: overlapping tiles, blended."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError

Pixels = NDArray[np.uint8]
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of an image.

    Attributes:
        size: of the image, in pixels.
        tile: of the network's input.
        tile_out: of the network's output.
        starts: where each tile begins, the first at 0.
    """

    size: int
    tile: int
    tile_out: int
    starts: tuple[int, ...]

    @property
    def scale(self) -> Fraction:
        """Pixels of the output for one of the input."""
        return Fraction(self.tile_out, self.tile)

    @property
    def padded(self) -> int:
        """The size that the tiles cover: the image's, or a little more."""
        return self.starts[-1] + self.tile

    def out(self, position: int) -> int:
        """A position in the input, in the output."""
        return int(position * self.scale)

    def weights(self, overlap: int) -> Weights:
        """How much each pixel of an output tile counts: less and less towards its edges."""
        distance = np.arange(self.tile_out, dtype=np.float32) + np.float32(0.5)
        distance = np.minimum(distance, distance[::-1])
        return np.asarray(np.minimum(distance / max(self.out(overlap), 1), 1.0).astype(np.float32))


def axis_tiles(size: int, tile: int, tile_out: int, overlap: int) -> Axis:
    """Lay tiles along one side: as few as can be, spread evenly.

    Args:
        size: of the image, 1 or more.
        tile, tile_out: of the network's input and output.
        overlap: pixels of the input that neighbours share at least; below `tile`.

    Raises:
        OptionError: `overlap` leaves no room to go on.
    """
    # A tile may begin only where the output has a whole pixel.
    unit = Fraction(tile_out, tile).denominator
    if overlap > tile - unit:
        raise OptionError(
            f"overlap: expected {tile - unit} at most for tiles of {tile} pixels, got {overlap}"
        )
    padded = max(tile, -(-size // unit) * unit)
    stride = (tile - overlap) // unit * unit
    count = -(-(padded - tile) // stride) + 1
    places = np.linspace(0, (padded - tile) // unit, count)
    return Axis(size, tile, tile_out, tuple(int(place) * unit for place in np.floor(places)))


def padded_image(image: Pixels, rows: Axis, columns: Axis) -> Pixels:
    """The image, mirrored at its lower and right border to the size that the tiles cover."""
    height, width = image.shape[:2]
    more = [(0, rows.padded - height), (0, columns.padded - width)] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, more, mode="symmetric")


class Blender:
    """Adds output tiles to one image.

    Each pixel is the mean of the tiles that cover it, weighted by how far inside of each it lies:
    what tiles agree on stays as it is, and where they do not, one fades into the next.

    Args:
        rows, columns: the tiles.
        channels: of the output.
        overlap: as in `axis_tiles`.
    """

    def __init__(self, rows: Axis, columns: Axis, channels: int, overlap: int) -> None:
        self._rows, self._columns = rows, columns
        self._weight: Weights = np.outer(rows.weights(overlap), columns.weights(overlap))[..., np.newaxis]
        shape = rows.out(rows.padded), columns.out(columns.padded)
        self._sum = np.zeros((*shape, channels), np.float32)
        self._weights = np.zeros((*shape, 1), np.float32)

    def add(self, top: int, left: int, tile: NDArray[np.float32]) -> None:
        """Add the output ``(tile_out, tile_out, channels)`` of the tile that begins at `top` and `left`."""
        row, column = self._rows.out(top), self._columns.out(left)
        place = np.s_[row : row + self._rows.tile_out, column : column + self._columns.tile_out]
        self._sum[place] += tile * self._weight
        self._weights[place] += self._weight

    def image(self) -> NDArray[np.float32]:
        """The blend, without what was only padding: float32 ``(height, width, channels)``."""
        blended = self._sum / self._weights
        return blended[: self._rows.out(self._rows.size), : self._columns.out(self._columns.size)]
