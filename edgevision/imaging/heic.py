"""HEIC: the pictures of phones, decoded by pi-heif (extra ``heic``), whose wheels have no GPL encoder."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import first_line


def decode_heic(data: bytes, check_size: Callable[[tuple[int, int]], None]) -> NDArray[Any]:
    """The main picture, upright: (h, w, 3) uint8 RGB.

    Args:
        data: the file.
        check_size: called with width and height before anything is decoded; raises if they are too large.

    Raises:
        ImportError: pi-heif is not installed.
        ValueError: the file is damaged, or has more than 8 bits.
    """
    import pi_heif

    try:
        file = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        check_size(file.size)
        # Upright already: libheif applies the file's own rotation, and its EXIF orientation only repeats it.
        if file.info.get("bit_depth", 8) > 8:
            raise ValueError(
                f"it has {file.info['bit_depth']} bits per channel, which is not supported for HEIC"
            )
        pixels = np.array(file)  # a copy: pi-heif frees its memory with the file
    except (OSError, EOFError, SyntaxError, RuntimeError, LookupError) as error:
        raise ValueError(first_line(error)) from error
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis].repeat(3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])
