"""Annotated copies of images, for ``edgevision predict --save``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.drawing.results import draw_classification, draw_detections
from edgevision.errors import OutputError
from edgevision.imaging.write import write_image
from edgevision.system.files import make_folder
from edgevision.tasks.classify import Classification
from edgevision.tasks.detections import Detections


def annotated_paths(folder: Path, images: Sequence[Path]) -> dict[Path, Path]:
    """Choose a path for the annotated copy of each image: ``NAME.png`` in `folder`, numbered if names repeat.

    Creates the folder, so that an unwritable one is reported before any work is done.

    Raises:
        OutputError: the folder cannot be created or written to, or a copy would replace one of the images.
    """
    make_folder(folder)
    originals = {path.resolve() for path in images}
    taken: dict[Path, Path] = {}
    for image in images:
        taken[image] = _free_name(folder, image.stem, set(taken.values()))
        if taken[image].resolve() in originals:
            raise OutputError(f"{taken[image]}: is one of the images; save to another folder")
    return taken


def save_annotated(
    path: Path, image: NDArray[np.uint8], result: Classification | Detections, top: int
) -> None:
    """Draw a result into a copy of `image` (h, w, 3) uint8 RGB, and write it as PNG.

    Raises:
        OutputError: the file cannot be written; no partial file remains.
    """
    if isinstance(result, Detections):
        drawn = draw_detections(image, result)
    else:
        drawn = draw_classification(image, result, top)
    write_image(path, drawn)


def _free_name(folder: Path, stem: str, taken: set[Path]) -> Path:
    path, number = folder / f"{stem}.png", 1
    while path in taken:
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path
