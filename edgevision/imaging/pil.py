"""Images that PIL has opened, as their files give them by path."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError
from edgevision.imaging.codecs import Pixels
from edgevision.imaging.frame import Frame
from edgevision.imaging.headers import read_header
from edgevision.imaging.orientation import orientation_in_a_file, upright
from edgevision.system.reading import read_start


def pil_frame(image: Any, check_size: Callable[[tuple[int, int], str], None]) -> Frame:
    """A PIL image as its file gives it by path: upright, without alpha, with all of its bits.

    Args:
        image: a ``PIL.Image.Image``.
        check_size: called with its size before it is decoded; raises if that is too large.

    Raises:
        InputError: PIL cannot decode it, or would cut it to 8 bits.
    """
    name = str(getattr(image, "filename", "") or "image")
    check_size(image.size, name)
    if 0 in image.size:
        raise InputError(f"{name}: expected at least one pixel, got size {image.size}")
    _refuse_what_pil_cuts(image, name)
    try:
        image.load()
        pixels = np.asarray(image) if image.mode[0] in "IF" else _pil_rgb(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name}: PIL cannot decode it: {error}") from error
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    turned = upright(pixels, _exif_orientation(image))
    return Frame(turned, "rgb" if turned.ndim == 3 else "gray", name)


def _refuse_what_pil_cuts(image: Any, name: str) -> None:
    """PIL has no mode for colours of 16 bits, and reads them as 8 without a word."""
    cut = any(";16" in str(part) for tile in getattr(image, "tile", ()) for part in tile)
    cut = cut or image.info.get("bit_depth", 8) > 8  # of pi-heif
    if not cut and image.format == "PNG" and image.mode[0] != "I" and getattr(image, "filename", ""):
        try:  # a PIL image that is loaded already has forgotten what it was
            header = read_header(read_start(image.filename, _PNG_HEADER_BYTES))
            cut = header is not None and header.format == "PNG" and header.bits > 8
        except (OSError, ValueError):
            cut = False
    if cut and image.mode[0] not in "IF":
        raise InputError(
            f"{name}: has more than 8 bits per channel, which PIL cuts; pass its path or its bytes instead"
        )


def _pil_rgb(image: Any) -> Pixels:
    """The pixels of a PIL image, (h, w, 3), as `decode_8bit` has them of a file with this mode."""
    mode = image.mode
    if mode == "CMYK":
        return _cmyk_to_rgb(np.asarray(image, np.uint16))
    # One alpha per palette entry: PIL warns if a conversion loses it.
    if isinstance(image.info.get("transparency"), bytes):
        return np.ascontiguousarray(np.asarray(image.convert("RGBA"))[:, :, :3])
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def _cmyk_to_rgb(cmyk: NDArray[np.uint16]) -> Pixels:
    """(h, w, 4) as (h, w, 3): with OpenCV's rounding, which is up to 2 levels from PIL's."""
    ink, light = cmyk[:, :, :3], 255 - cmyk[:, :, 3:]
    return np.asarray(light - (ink * light >> 8), np.uint8)


#: The EXIF tag of the orientation.
_ORIENTATION = 0x0112
#: The signature and the first chunk of a PNG file.
_PNG_HEADER_BYTES = 33


def _exif_orientation(image: Any) -> int:
    """The EXIF orientation that a PIL image still carries; 1 where it has none.

    The decoder of files is asked, because PIL reads more of XMP and of a damaged EXIF block than it does.
    Only an orientation that the caller has changed since is taken from PIL.
    """
    block = image.info.get("exif")
    if not isinstance(block, bytes):
        return 1
    png = image.format == "PNG"
    try:
        now = image.getexif()
        stated = type(now)()
        stated.load(block)
        changed = _ORIENTATION in stated and now.get(_ORIENTATION) != stated[_ORIENTATION]
        return int(now.get(_ORIENTATION, 1)) if changed else orientation_in_a_file(block, png)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return orientation_in_a_file(block, png)
