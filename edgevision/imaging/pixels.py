"""Change colours and values of pixels, into memory that is there."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.tensors import Array

Pixels = NDArray[np.uint8]
Writer = Callable[[Pixels, Array], None]

#: By a third each: enough for a slope that is known to a millionth.
_NARROWINGS = 60
#: Of values up to 255, single precision knows 0.00002: a twentieth of this.
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
    """Whether an `edgevision.imaging.preprocess.pixel_table` leaves every pixel as it is."""
    return table.shape[1] == 1 and bool((table[:, 0] == np.arange(256)).all())


def convert_into(pixels: Pixels, color: str, wanted: str, out: Pixels) -> None:
    """Write `pixels` of one colour into `out` in another of `edgevision.imaging.preprocess.COLORS`.

    Where both have as many channels they may be the same memory.
    """
    cv2.cvtColor(pixels, _CONVERSIONS[color, wanted], dst=out)


def writer(table: Array) -> Writer:
    """The fastest exact way to write pixels (h, w) or (h, w, c) through a table into (h, w) or (h, w, c).

    Where a table entry is one byte, pixels and result may be the same memory.

    Args:
        table: (256, 1) or (256, c): what `edgevision.imaging.preprocess.pixel_table` gives.
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
    # A table only moves bits: OpenCV need not know the dtype, and older ones do not know float16.
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
    """The slope and offset that, rounded, give all of a table's values; `None` if none do.

    Of all such lines the one farthest from giving another value, and none whose distance single precision
    could use up: so that it does not matter how a build of OpenCV multiplies and rounds.

    Args:
        values: (256,): what each pixel value becomes.
    """
    pixels, wanted = np.arange(256.0), values.astype(np.float64)
    least, most = wanted - 0.5, np.where(wanted == 255, np.inf, wanted + 0.5)

    def offsets(slope: float) -> tuple[float, float]:
        """The lowest that gives all values, and the highest: in this order where there are any."""
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
    # Without an end there is no middle: of all 255, any line is as good.
    if highest - lowest < _LEAST_ROOM or math.isinf(highest):
        return None
    return slope, (lowest + highest) / 2


def _line_writer(line: tuple[float, float], signed: bool) -> Writer:
    """Slope and offset, in half the time that a table takes."""
    slope, offset = line

    def write(pixels: Pixels, out: Array) -> None:
        written = out.view(np.uint8)
        cv2.convertScaleAbs(pixels, written, slope, offset)
        if signed:
            np.bitwise_xor(written, 0x80, out=written)

    return write


def _flip_sign(pixels: Pixels, out: Array) -> None:
    """Pixel minus 128, in a twentieth of the time that a table takes."""
    np.bitwise_xor(pixels, 0x80, out=out.view(np.uint8))


def _look_up(pixels: Pixels, lookup: Array, out: Array) -> None:
    cv2.LUT(pixels, lookup, dst=out)
