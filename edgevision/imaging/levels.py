"""Black and white of images with more than 8 bits: by a bit depth, a range or a window that is stated.

What a value means is known from its file only for 8 bits. A microscope with 12 bits stores 0…4095 in 16-bit
files, which are nearly black if 65535 is taken for white, and computed tomography stores Hounsfield units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, OptionError
from edgevision.imaging.frame import FileWindow, Frame
from edgevision.system.numeric import is_real, is_whole
from edgevision.system.shown import shown

#: Value of `ValueMapping.window` that requests the window of each file.
FILE_WINDOW = "file"
#: The fields of `ValueMapping`, as they are called in a manifest.
MAPPING_FIELDS = ("bit_depth", "pixel_range", "window", "window_percentiles")

#: The name of frames that come from no file.
_ARRAY = "image"
_STATE_IT = (
    "say how values become black and white: --bit-depth 12 (0…4095; or 10, 14, 16), --window CENTER,WIDTH "
    "(or file, for that of each DICOM file), --window-percentiles LOW,HIGH or --pixel-range LOW..HIGH, in "
    "Python InputOptions(bit_depth=12) and so on; for a bundle, when it is converted"
)


class ValueMapping(NamedTuple):
    """How the stored values of an image map to black and white; at most one field is not `None`.

    Attributes:
        bit_depth: values are 0…2**bit_depth - 1; others are an error.
        pixel_range: (low, high): values are low…high; others are an error.
        window: (centre, width): DICOM's linear function, which clips; or ``file``: the window of each file.
        window_percentiles: (low, high), 0…100: black and white are these percentiles of the image's own
            values, over all channels; values beyond are clipped.
    """

    bit_depth: int | None = None
    pixel_range: tuple[float, float] | None = None
    window: tuple[float, float] | str | None = None
    window_percentiles: tuple[float, float] | None = None

    @property
    def is_plain(self) -> bool:
        """True if images with 8 bits are expected, as by default."""
        return (
            self.bit_depth in (None, 8)
            and self.pixel_range is None
            and self.window is None
            and self.window_percentiles is None
        )

    def describe(self) -> str:
        """In words, such as ``bit depth 12``."""
        for name, value in zip(MAPPING_FIELDS, self, strict=True):
            if value is not None:
                shown = value if isinstance(value, (str, int)) else ", ".join(f"{part:g}" for part in value)
                return f"{name.replace('_', ' ')} {shown}"
        return "8 bits"


def check_mapping(values: Mapping[str, Any]) -> None:
    """Check the fields of a `ValueMapping`, of which others may be missing.

    Raises:
        OptionError: a field has an invalid value, or two are stated; names the field.
    """
    stated = {name: values[name] for name in MAPPING_FIELDS if values.get(name) is not None}
    if len(stated) > 1:
        raise OptionError(
            f"preprocessing: {' and '.join(stated)}: each says how values become black and white; keep one"
        )
    for name, value in stated.items():
        valid, expected = _CHECKS[name](value)
        if not valid:
            raise OptionError(f"preprocessing: {name}: expected {expected}, got {shown(value, 200)}")


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_real, value))


def _check_depth(value: Any) -> tuple[bool, str]:
    return is_whole(value, 8) and value <= 16, "a whole number in 8…16"


def _check_range(value: Any) -> tuple[bool, str]:
    return _is_pair(value) and value[0] < value[1], "a low number, then a higher one"


def _check_window(value: Any) -> tuple[bool, str]:
    valid = value == FILE_WINDOW if isinstance(value, str) else _is_pair(value) and value[1] > 1
    # DICOM divides by width - 1; a window on values in 0…1 is a pixel range.
    return valid, (
        "a centre and a width above 1 (for narrower ranges pass pixel_range), "
        f"or '{FILE_WINDOW}' for the window of each DICOM file"
    )


def _check_percentiles(value: Any) -> tuple[bool, str]:
    return _is_pair(value) and 0 <= value[0] < value[1] <= 100, "a low percentile and a higher one, in 0…100"


_CHECKS = {
    "bit_depth": _check_depth,
    "pixel_range": _check_range,
    "window": _check_window,
    "window_percentiles": _check_percentiles,
}


def plain_pixels(frame: Frame, mapping: ValueMapping) -> NDArray[np.uint8]:
    """The 8-bit pixels of a frame for a network that expects such, 0 for black.

    Raises:
        InputError: it has more than 8 bits, or a window of its own, about which the preprocessing says
            nothing.
    """
    pixels = frame.pixels
    if pixels.dtype != np.uint8:
        if mapping.bit_depth is None:
            raise InputError(f"{frame.name}: has {_described(frame)}; {_STATE_IT}{_as_8_bits(frame)}")
        raise InputError(f"{frame.name}: has {_described(frame)}, and the preprocessing states bit depth 8")
    if frame.bits is not None and frame.bits < 8:
        raise InputError(f"{frame.name}: has {_described(frame)}; {_STATE_IT}")
    if frame.window is not None and mapping.bit_depth is None and not _changes_nothing(frame.window):
        raise InputError(
            f"{frame.name}: has a window of its own, and the preprocessing does not say whether to apply it; "
            f"pass --window file to apply it, or --bit-depth 8 to take all values as they are; in Python "
            f"InputOptions(window='file') or InputOptions(bit_depth=8)"
        )
    inverted: NDArray[np.uint8] = 255 - pixels if frame.inverted else pixels
    return inverted


def _as_8_bits(frame: Frame) -> str:
    if frame.pixels.dtype.kind != "f" or frame.name != _ARRAY:
        return ""
    return "; or 8 bits: for values in 0…1 pass (image * 255).round().astype('uint8')"


def _changes_nothing(window: FileWindow) -> bool:
    return np.allclose(window(_ALL_VALUES), _ALL_VALUES / 255, atol=0.5 / 255)


_ALL_VALUES = np.arange(256, dtype=np.uint8)


def known_levels(frame: Frame, mapping: ValueMapping) -> Frame:
    """A frame whose black and white are known, so that its parts have them too; 8-bit pixels stay so.

    Raises:
        InputError: as `levelled`.
    """
    if mapping.is_plain and frame.pixels.dtype == np.uint8:
        return Frame(plain_pixels(frame, mapping), frame.color, frame.name)
    return levelled(frame, mapping)


def levelled(frame: Frame, mapping: ValueMapping) -> Frame:
    """A frame with its levels: float32 pixels, and the values of black and white among them.

    A window clips here, before the image is resized, as in the software that shows images and prepares
    training sets. A pixel p is then (p - black) / (white - black) of the way from black to white.

    Raises:
        InputError: values beyond what is stated, or nothing is stated; names the image.
    """
    if frame.levels is not None:
        return frame
    if mapping.is_plain and not (mapping.bit_depth == 8 and frame.pixels.dtype.kind in "iu"):
        return _with_levels(frame, plain_pixels(frame, mapping), 0.0, 255.0, inverted=False)
    pixels = frame.pixels
    _check_finite(frame)
    if mapping.bit_depth is not None:
        _check_depth_of(frame, mapping.bit_depth)
        low, high = 0.0, 2.0**mapping.bit_depth - 1
        _check_values(frame, low, high, mapping)
    elif mapping.pixel_range is not None:
        low, high = mapping.pixel_range
        _check_values(frame, low, high, mapping)
    elif mapping.window == FILE_WINDOW:
        if frame.window is None:
            raise InputError(
                f"{frame.name}: has no window of its own, and the preprocessing states window "
                f"'{FILE_WINDOW}'; expected a DICOM file with a VOI LUT or with window centre and width"
            )
        pixels, low, high = frame.window(pixels), 0.0, 1.0
    else:
        low, high = _stated_window(frame, mapping)
        pixels = np.clip(pixels.astype(np.float32), low, high)
    return _with_levels(frame, pixels, low, high, frame.inverted)


def shares_of_white(frame: Frame) -> NDArray[np.float32]:
    """The pixels of a frame with levels, 0 for black and 1 for white, in its own shape and colour order."""
    black, white = frame.levels or (0.0, 255.0)
    shares = (frame.pixels.astype(np.float64) - black) / (white - black)
    return shares.astype(np.float32)


def _with_levels(frame: Frame, pixels: NDArray[Any], low: float, high: float, inverted: bool) -> Frame:
    levels = (high, low) if inverted else (low, high)
    values = np.asarray(pixels, np.float32)
    spacing = frame.pixel_spacing_mm
    return Frame(values, frame.color, frame.name, pixel_spacing_mm=spacing, levels=levels)


def _stated_window(frame: Frame, mapping: ValueMapping) -> tuple[float, float]:
    if mapping.window_percentiles is not None:
        low, high = percentiles_of(frame.pixels, mapping.window_percentiles)
        if low >= high:
            percentiles = " and ".join(f"{percentile:g}" for percentile in mapping.window_percentiles)
            raise InputError(
                f"{frame.name}: its {percentiles} % percentiles are both {low:g}, so there is no black and "
                f"white; expected an image with contrast"
            )
        return low, high
    if not isinstance(mapping.window, tuple):
        raise TypeError("internal error: no window is stated")
    centre, width = mapping.window
    return linear_window(float(centre), float(width))


def percentiles_of(pixels: NDArray[Any], wanted: tuple[float, float]) -> tuple[float, float]:
    """Two percentiles of all values, as ``numpy.percentile``: for uint16 counted, in a third of its time."""
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        low, high = np.percentile(pixels, wanted)
        return float(low), float(high)
    up_to = np.bincount(pixels.ravel()).cumsum()

    def at(percentile: float) -> float:
        position = percentile / 100 * (pixels.size - 1)
        before = int(position)
        ranks = before, min(before + 1, pixels.size - 1)
        low, high = (int(value) for value in np.searchsorted(up_to, ranks, side="right"))
        return low + (high - low) * (position - before)

    return at(wanted[0]), at(wanted[1])


def linear_window(centre: float, width: float) -> tuple[float, float]:
    """The values of black and white of DICOM's function LINEAR (PS3.3, C.11.2.1.2.1)."""
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _check_finite(frame: Frame) -> None:
    if frame.pixels.dtype.kind == "f" and not np.isfinite(frame.pixels).all():
        raise InputError(f"{frame.name}: has pixels that are NaN or infinite; expected finite values")


def _check_depth_of(frame: Frame, bit_depth: int) -> None:
    kind, size = frame.pixels.dtype.kind, frame.pixels.dtype.itemsize
    bits = frame.bits if frame.bits is not None else 8 * size if size == 1 else None
    if kind not in "iu":
        raise InputError(
            f"{frame.name}: has {_described(frame)}, and the preprocessing states bit depth {bit_depth}, "
            f"which is for whole numbers; state --pixel-range LOW..HIGH or --window CENTER,WIDTH instead"
        )
    if bits is not None and bits < bit_depth:
        raise InputError(
            f"{frame.name}: has {bits} bits per channel, and the preprocessing states bit depth "
            f"{bit_depth}: it would be read too dark; expected an image from the camera of the training"
        )


def _check_values(frame: Frame, low: float, high: float, mapping: ValueMapping) -> None:
    least, most = frame.pixels.min(), frame.pixels.max()
    if least < low or most > high:
        raise InputError(
            f"{frame.name}: has values of {least:g}…{most:g}, and the preprocessing states "
            f"{mapping.describe()}, which is {low:g}…{high:g}; state what the values are, by a higher "
            f"--bit-depth or by --pixel-range, or a window, which clips"
        )


def _described(frame: Frame) -> str:
    dtype = frame.pixels.dtype
    bits = frame.bits or 8 * dtype.itemsize
    kind = {"f": "floating-point values", "i": "signed values", "u": "values"}.get(dtype.kind, "values")
    return f"{kind} of {bits} bits per channel"
