"""TIFF: its pages from their headers, decoded by OpenCV in those forms that it decodes rightly.

OpenCV 5.0 cuts grey with alpha to 8 bits, mixes channels that are stored in planes, blends alpha, shifts
packed bits, and inverts 8-bit "white is zero" but not 16-bit: each is mended here or refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: A chain of more pages is a loop or an attack.
_MOST_PAGES = 10_000
_MOST_VALUES = 64
#: TIFF field type -> struct code; the rest are of no use here.
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT, _OLD_SUBFILE = (
    *(254, 256, 257, 258, 262, 277, 284, 339),
    255,
)
_READ = (_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_KINDS = {1: "unsigned", 2: "signed", 3: "floating-point"}
_PACKED = (10, 12, 14)


class TiffPage(NamedTuple):
    """The header of one page.

    Attributes:
        place: of its directory in the file.
        size_wh: width and height in pixels.
        bits: per channel.
        kind: 1 for unsigned, 2 for signed, 3 for floating-point values.
        samples: channels, alpha included.
        photometric: TIFF's number for what the channels mean.
        planar: True if each channel is stored on its own.
    """

    place: int
    size_wh: tuple[int, int]
    bits: int
    kind: int
    samples: int
    photometric: int
    planar: bool

    def describe(self) -> str:
        """Such as ``3 channels of 16 unsigned bits``."""
        planes = ", each channel apart" if self.planar and self.samples > 1 else ""
        kind = _KINDS.get(self.kind, "unknown")
        return f"{self.samples} channels of {self.bits} {kind} bits, colour space {self.photometric}{planes}"


def tiff_pages(data: bytes) -> list[TiffPage]:
    """The pages of a TIFF file, without thumbnails and masks.

    Raises:
        ValueError: the headers are damaged or cut short.
    """
    try:
        return [page for place, fields in _directories(data) if (page := _page(place, fields))]
    except (struct.error, OverflowError) as error:
        raise ValueError("it ends within its header") from error


def decode_page(data: bytes, page: TiffPage) -> tuple[NDArray[Any], str, bool] | None:
    """The pixels of a page, upright.

    Returns:
        (h, w, 3) in the returned channel order, or (h, w): in the dtype of the file; the order; and True if
        the lowest value is white. `None` if OpenCV cannot decode it.

    Raises:
        ValueError: a form that is not supported; says what.
    """
    _check_form(page)
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    if page.samples == 4 and page.photometric == _RGB:
        flags = cv2.IMREAD_UNCHANGED
    pixels = cv2.imdecode(np.frombuffer(_with_page_first(data, page.place), np.uint8), flags)
    if pixels is None:
        return None
    if page.bits in _PACKED:
        pixels = pixels >> (16 - page.bits)  # OpenCV moves them to the upper end
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = _without_alpha(pixels, page)
    inverted = page.photometric == _WHITE_IS_ZERO and page.bits > 8
    return (pixels, "bgr", inverted) if pixels.ndim == 3 else (pixels, "gray", inverted)


def _with_page_first(data: bytes, place: int) -> bytes:
    """The file with this page as its first: OpenCV reaches the others by decoding those before."""
    order, big = _form(data)
    start = 8 if big else 4
    first = struct.pack(order + ("Q" if big else "I"), place)
    if data[start : start + len(first)] == first:
        return data
    return data[:start] + first + data[start + len(first) :]


def _without_alpha(pixels: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    # libtiff multiplies 8-bit colours by their alpha, which cannot be undone.
    if page.bits == 8 and not (pixels[:, :, 3] == 255).all():
        raise ValueError("its alpha channel is not opaque everywhere, which is not supported for 8-bit TIFF")
    return np.ascontiguousarray(pixels[:, :, :3])


def _check_form(page: TiffPage) -> None:
    grey = page.samples == 1 and page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    depths = {
        1: (1, 2, 4, 8, 16, *_PACKED) if grey else (8, 16),
        2: (16,),
        3: (32,),
    }.get(page.kind, ())
    colour = (page.photometric == _RGB and page.samples in (3, 4)) and not page.planar
    eight = page.bits == 8 and page.kind == 1 and not page.planar
    other = (
        page.photometric == _PALETTE and page.samples == 1 and page.kind == 1 and page.bits in (1, 2, 4, 8)
    ) or (eight and (page.photometric, page.samples) == (_YCBCR, 3))
    if not other and not ((grey or colour) and page.bits in depths):
        raise ValueError(f"{page.describe()} are not supported")


def _page(place: int, fields: dict[int, Sequence[int]]) -> TiffPage | None:
    first = {tag: values[0] for tag, values in fields.items() if values}
    if first.get(_SUBFILE, 0) & 0b101 or first.get(_OLD_SUBFILE, 1) == 2:
        return None
    size_wh = first.get(_WIDTH, 0), first.get(_HEIGHT, 0)
    if min(size_wh) < 1:
        raise ValueError(f"its header says {size_wh[0]} x {size_wh[1]} pixels")
    samples = first.get(_SAMPLES, 1)
    for tag, what in ((_BITS, "bits"), (_FORMAT, "kinds of values")):
        if len(set(fields.get(tag, ()))) > 1:
            raise ValueError(f"its channels differ in their {what}")
    photometric, planar = first.get(_PHOTOMETRIC, -1), first.get(_PLANAR, 1) == 2
    kind = {4: 1}.get(first.get(_FORMAT, 1), first.get(_FORMAT, 1))
    return TiffPage(place, size_wh, first.get(_BITS, 1), kind, samples, photometric, planar)


def _form(data: bytes) -> tuple[str, bool]:
    """(byte order for `struct`, True for BigTIFF)."""
    order = "<" if data[:1] == b"I" else ">"
    return order, struct.unpack_from(order + "H", data, 2)[0] == 43


def _directories(data: bytes) -> list[tuple[int, dict[int, Sequence[int]]]]:
    """Place and fields of each directory."""
    order, big = _form(data)
    offset_code, count_code, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (offset,) = struct.unpack_from(order + offset_code, data, 8 if big else 4)
    found: dict[int, dict[int, Sequence[int]]] = {}
    while offset:
        if offset in found or len(found) == _MOST_PAGES:
            raise ValueError(f"its pages are a loop, or more than {_MOST_PAGES}")
        place = offset
        (count,) = struct.unpack_from(order + count_code, data, offset)
        start = offset + struct.calcsize(order + count_code)
        end = start + count * entry
        (offset,) = struct.unpack_from(order + offset_code, data, end)
        found[place] = _fields(data[start:end], data, order, entry, offset_code)
    if not found:
        raise ValueError("it has no page")
    return list(found.items())


def _fields(
    directory: bytes, data: bytes, order: str, entry: int, offset_code: str
) -> dict[int, Sequence[int]]:
    fields: dict[int, Sequence[int]] = {}
    inline = struct.calcsize(order + offset_code)
    for start in range(0, len(directory), entry):
        tag, code, count = struct.unpack_from(order + "HH" + offset_code, directory, start)
        if tag not in _READ or code not in _CODES or tag in fields:  # libtiff takes the first
            continue
        values = f"{order}{min(count, _MOST_VALUES)}{_CODES[code]}"
        place = start + entry - inline
        if struct.calcsize(values) <= inline:
            fields[tag] = struct.unpack_from(values, directory, place)
        else:
            (place,) = struct.unpack_from(order + offset_code, directory, place)
            fields[tag] = struct.unpack_from(values, data, place)
    return fields
