"""Images to files: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError, OutputError
from edgevision.system.files import write_file

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an image in the format that the suffix names: to a temporary file, and from there by renaming.

    Args:
        path: replaced if it is there.
        pixels: (h, w, 3) RGB, or (h, w) or (h, w, 1) grey, uint8.

    Raises:
        OptionError: the suffix is not one of `SUFFIXES`.
        OutputError: it cannot be written. What was there before is left as it was.
    """
    check_suffix(path)
    ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2:] == (3,) else pixels
    done, content = cv2.imencode(path.suffix.lower(), ordered)
    if not done:
        raise OutputError(f"{path}: the image cannot be written as {path.suffix}")
    write_file(path, content.tobytes())


def check_suffix(path: Path) -> None:
    """Refuse a name whose suffix is no image format, before any long work.

    Raises:
        OptionError: the suffix is not one of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
