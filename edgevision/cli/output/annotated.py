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
    """Where the annotated copy of each image goes: ``NAME.png`` in `folder`, numbered where names repeat.

    The folder is made, so that what cannot be written is told before any work.

    Raises:
        OutputError: the folder cannot be made or written to, or a copy would replace one of the images.
    """
    make_folder(folder)
    originals = {path.resolve() for path in images}
    taken: dict[Path, Path] = {}
    for image in images:
        taken[image] = _free_name(folder, image.stem, set(taken.values()))
        if taken[image].resolve() in originals:
            raise OutputError(f"{taken[image]}: is one of the images; save to another folder than theirs")
    return taken


def save_annotated(
    path: Path, image: NDArray[np.uint8], found: Classification | Detections, top: int
) -> None:
    """Draw what was found into a copy of `image` (h, w, 3) uint8 RGB, and write it as PNG.

    Raises:
        OutputError: it cannot be written; nothing is left.
    """
    if isinstance(found, Detections):
        drawn = draw_detections(image, found)
    else:
        drawn = draw_classification(image, found, top)
    write_image(path, drawn)


def _free_name(folder: Path, stem: str, taken: set[Path]) -> Path:
    path, number = folder / f"{stem}.png", 1
    while path in taken:
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path
