"""Write image files, completely or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError, OutputError
from edgevision.system.files import OutputState, write_file

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def write_image(path: str | Path, pixels: NDArray[np.uint8], before: OutputState | None = None) -> None:
    """Write an image in the format of the path's suffix: to a temporary file that is then renamed.

    Args:
        path: replaced if it exists.
        pixels: (h, w, 3) RGB, or (h, w) or (h, w, 1) grey, uint8.
        before: as for `edgevision.system.files.write_file`.

    Raises:
        OptionError: the suffix is not one of `SUFFIXES`.
        OutputError: it cannot be written; an existing file is left as it was.
    """
    path = Path(path)
    check_suffix(path)
    ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.shape[2:] == (3,) else pixels
    encoded, content = cv2.imencode(path.suffix.lower(), ordered)
    if not encoded:
        raise OutputError(f"{path}: the image cannot be written as {path.suffix}")
    write_file(path, content.tobytes(), before)


def check_suffix(path: Path) -> None:
    """Check that a path has the suffix of an image format, before any long work.

    Raises:
        OptionError: the suffix is not one of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"{path}: expected a file name that ends in {', '.join(SUFFIXES)}")
