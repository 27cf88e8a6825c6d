"""Images of any size for a network of one size: overlapping tiles, blended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
        size: the image's size, in pixels.
        tile: the input size of the network.
        tile_out: the output size of the network.
        starts: the first pixel of each tile, beginning with 0.
    """

    size: int
    tile: int
    tile_out: int
    starts: tuple[int, ...]

    @property
    def scale(self) -> Fraction:
        """Output pixels per input pixel."""
        return Fraction(self.tile_out, self.tile)

    @property
    def padded(self) -> int:
        """The size covered by the tiles: the image's, or a little more."""
        return self.starts[-1] + self.tile

    def out(self, position: int) -> int:
        """The output position of an input position."""
        return int(position * self.scale)

    def owned(self) -> dict[int, slice]:
        """Start of each tile -> the input pixels that are nearer to its centre than to any other's."""
        between = [
            (start + following + self.tile) // 2
            for start, following in zip(self.starts, self.starts[1:], strict=False)
        ]
        ends = zip([0, *between], [*between, self.padded], strict=True)
        return {start: slice(*pair) for start, pair in zip(self.starts, ends, strict=True)}

    def shares(self, overlap: int) -> dict[int, Weights]:
        """The weight of each tile in each output pixel, which decreases towards shared edges.

        Returns:
            Start of the tile -> float32 ``(tile_out,)``; for every pixel, the weights sum to 1.
        """
        distance = np.arange(self.tile_out, dtype=np.float32) + np.float32(0.5)
        distance = np.minimum(distance, distance[::-1])
        weight = np.minimum(distance / max(self.out(overlap), 1), 1.0).astype(np.float32)
        places = {start: slice(self.out(start), self.out(start) + self.tile_out) for start in self.starts}
        total = np.zeros(self.out(self.padded), np.float32)
        for place in places.values():
            total[place] += weight
        return {start: weight / total[place] for start, place in places.items()}


def axis_tiles(size: int, tile: int, tile_out: int, overlap: int) -> Axis:
    """Tiles along one side: as few as possible, evenly spaced.

    Args:
        size: the image's size, 1 or more.
        tile, tile_out: the network's input and output size.
        overlap: the least number of input pixels that neighbours share; below `tile`.

    Raises:
        OptionError: `overlap` is too large for the tile.
    """
    # A tile may begin only at a whole pixel of the output.
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
    """The image, padded by reflection at the bottom and right to the size covered by the tiles."""
    height, width = image.shape[:2]
    if (height, width) == (rows.padded, columns.padded):
        return image
    padding = [(0, rows.padded - height), (0, columns.padded - width)] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, padding, mode="symmetric")


class Blender:
    """Blends output tiles into one image.

    Each pixel is the mean of the tiles that cover it, weighted by its distance from their edges: where
    tiles agree nothing changes, and where they differ one fades into the next.

    Args:
        rows, columns: the tiles.
        channels: of the output.
        overlap: as in `axis_tiles`.
    """

    def __init__(self, rows: Axis, columns: Axis, channels: int, overlap: int) -> None:
        self._rows, self._columns, self._channels = rows, columns, channels
        self._row_shares = {top: share[:, np.newaxis] for top, share in rows.shares(overlap).items()}
        # Columns and channels are one axis throughout: numpy is slow along an axis of three.
        self._column_shares = {
            left: share.repeat(channels) for left, share in columns.shares(overlap).items()
        }
        self._sum = np.zeros((rows.out(rows.padded), columns.out(columns.padded) * channels), np.float32)
        self._part = np.empty((rows.tile_out, columns.tile_out * channels), np.float32)

    def add(self, top: int, left: int, tile: NDArray[np.float32]) -> None:
        """Add the output ``(tile_out, tile_out, channels)`` of the tile that begins at `top` and `left`."""
        part = self._part
        np.multiply(tile.reshape(part.shape), self._column_shares[left], out=part)
        part *= self._row_shares[top]
        row, column = self._rows.out(top), self._columns.out(left) * self._channels
        self._sum[row : row + part.shape[0], column : column + part.shape[1]] += part

    def image(self) -> NDArray[np.float32]:
        """The result without the padding: float32 ``(height, width, channels)``."""
        blended = self._sum.reshape(len(self._sum), -1, self._channels)
        return blended[: self._rows.out(self._rows.size), : self._columns.out(self._columns.size)]


def blended_bands(
    rows: Axis, columns: Axis, overlap: int, tiles_of: Callable[[int], Iterable[NDArray[np.float32]]]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The blended values of an image, from the top to the bottom: memory is that of one row of tiles.

    Each pixel is weighted as by `Blender`, for values at each pixel of a tile (``tile_out == tile``).

    Args:
        rows, columns: the tiles.
        overlap: as in `axis_tiles`.
        tiles_of: from the first row of tiles to the values of each, from left to right: float32
            ``(channels, tile, tile)``.

    Yields:
        Rows of the image, and float32 ``(channels, rows, width)`` for them, overwritten by the next.
    """
    row_shares, column_shares = rows.shares(overlap), columns.shares(overlap)
    band: NDArray[np.float32] | None = None
    for place, top in enumerate(rows.starts):
        for left, tile in zip(columns.starts, tiles_of(top), strict=True):
            if band is None:
                band = np.zeros((len(tile), rows.tile, columns.padded), np.float32)
            part = tile * column_shares[left]
            part *= row_shares[top][:, np.newaxis]
            band[:, :, left : left + columns.tile] += part
        if band is None:
            return
        following = rows.starts[place + 1] if place + 1 < len(rows.starts) else rows.padded
        done = following - top
        shown = slice(top, min(following, rows.size))
        if shown.start < shown.stop:
            yield shown, band[:, : shown.stop - shown.start, : columns.size]
        band[:, : rows.tile - done] = band[:, done:].copy()
        band[:, rows.tile - done :] = 0.0
