"""Convert colours and values of pixels into existing memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tensors import Array

Pixels = NDArray[np.uint8]
Value = TypeVar("Value", np.uint8, np.float32)
Writer = Callable[[Pixels, Array], None]

#: Each narrows the interval by a third: enough for a slope within a millionth.
_NARROWINGS = 60
#: Single precision resolves 0.00002 at values up to 255: a twentieth of this.
_LEAST_ROOM = 0.0005

_CONVERSIONS: dict[tuple[str, str], int] = {
    ("rgb", "bgr"): cv2.COLOR_RGB2BGR,
    ("rgb", "gray"): cv2.COLOR_RGB2GRAY,
    ("bgr", "rgb"): cv2.COLOR_BGR2RGB,
    ("bgr", "gray"): cv2.COLOR_BGR2GRAY,
    ("gray", "rgb"): cv2.COLOR_GRAY2RGB,
    ("gray", "bgr"): cv2.COLOR_GRAY2BGR,
}


def is_identity(table: Array) -> bool:
    """Return whether an `edgevision.imaging.preprocess.pixel_table` leaves every pixel unchanged."""
    return table.shape[1] == 1 and bool((table[:, 0] == np.arange(256)).all())


def convert_into(pixels: Array, color: str, wanted: str, out: Array) -> None:
    """Write `pixels` into `out` in another channel order of `edgevision.imaging.preprocess.COLORS`.

    Both are uint8, or both float32.

    With the same number of channels, they may be the same memory.
    """
    cv2.cvtColor(pixels, _CONVERSIONS[color, wanted], dst=out)


def as_rgb(pixels: NDArray[Value], color: str) -> NDArray[Value]:
    """(h, w, 3) RGB, uint8 or float32: `pixels` itself, not a copy, where `color` is ``rgb`` already."""
    if color == "rgb":
        return pixels
    converted: NDArray[Value] = cv2.cvtColor(pixels, _CONVERSIONS[color, "rgb"])
    return converted


def writer(table: Array) -> Writer:
    """The fastest exact way to write pixels (h, w) or (h, w, c) through a table into (h, w) or (h, w, c).

    Where a table entry is one byte, pixels and result may be the same memory.

    Args:
        table: (256, 1) or (256, c), from `edgevision.imaging.preprocess.pixel_table`.
    """
    if is_identity(table):
        return lambda pixels, out: np.copyto(out, pixels)
    signed = table.dtype == np.int8
    if signed and np.array_equal(table, np.arange(-128, 128)[:, np.newaxis]):
        return _flip_sign
    if table.itemsize == 1 and table.shape[1] == 1:
        line = straight_line(np.bitwise_xor(table[:, 0].view(np.uint8), 0x80 if signed else 0))
        if line is not None:
            return _line_writer(line, signed)
    # A table only moves bits: OpenCV need not support the dtype, and older versions lack float16.
    bits = {1: np.uint8, 2: np.int16, 4: np.float32}[table.dtype.itemsize]
    lookup = np.ascontiguousarray(table).view(bits).reshape(1, 256, -1)
    return lambda pixels, out: _look_up(pixels, lookup, out.view(bits))


def plane_writer(table: Array) -> Writer:
    """As `writer`, from (h, w, 3) into (3, h, w)."""
    planes = np.broadcast_to(table, (256, 3))
    writers = [writer(planes[:, channel : channel + 1]) for channel in range(3)]

    def write(pixels: Pixels, out: Array) -> None:
        for channel, write_plane in enumerate(writers):
            write_plane(cv2.extractChannel(pixels, channel), out[channel])

    return write


def straight_line(values: NDArray[np.uint8]) -> tuple[float, float] | None:
    """The slope and offset that, rounded, give all of a table's values; `None` if there are none.

    Of all such lines, the one with the largest margin to another value, and none whose margin is within
    single precision: so the way in which a build of OpenCV multiplies and rounds does not matter.

    Args:
        values: (256,): the result for each pixel value.
    """
    pixels, wanted = np.arange(256.0), values.astype(np.float64)
    least, most = wanted - 0.5, np.where(wanted == 255, np.inf, wanted + 0.5)

    def offsets(slope: float) -> tuple[float, float]:
        """The lowest and the highest offset that give all values; in reverse order if none does."""
        return float((least - slope * pixels).max()), float((most - slope * pixels).min())

    def room(slope: float) -> float:
        lowest, highest = offsets(slope)
        return highest - lowest

    low, high = -256.0, 256.0
    for _ in range(_NARROWINGS):  # the room is a concave function of the slope
        third = (high - low) / 3
        low, high = (low + third, high) if room(low + third) < room(high - third) else (low, high - third)
    slope = (low + high) / 2
    lowest, highest = offsets(slope)
    # An interval without an upper end has no middle: that of a table that is 255 throughout.
    if highest - lowest < _LEAST_ROOM or math.isinf(highest):
        return None
    return slope, (lowest + highest) / 2


def _line_writer(line: tuple[float, float], signed: bool) -> Writer:
    """A writer by slope and offset, in half the time of a table."""
    slope, offset = line

    def write(pixels: Pixels, out: Array) -> None:
        written = out.view(np.uint8)
        cv2.convertScaleAbs(pixels, written, slope, offset)
        if signed:
            np.bitwise_xor(written, 0x80, out=written)

    return write


def _flip_sign(pixels: Pixels, out: Array) -> None:
    """Pixel minus 128, in a twentieth of the time of a table."""
    np.bitwise_xor(pixels, 0x80, out=out.view(np.uint8))


def _look_up(pixels: Pixels, lookup: Array, out: Array) -> None:
    cv2.LUT(pixels, lookup, dst=out)
