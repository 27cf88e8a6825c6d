"""Annotated copies of images, for ``edgevision predict --save``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgevision.errors import OutputError
from edgevision.imaging.find import ImageFile
from edgevision.system.files import OutputState, make_folder


class AnnotatedCopy(NamedTuple):
    """The place of an annotated copy, and what was there before."""

    path: Path
    before: OutputState


def annotated_paths(
    folder: Path, images: Sequence[ImageFile], overwrite: bool = False
) -> dict[str, AnnotatedCopy]:
    """Choose a path for the annotated copy of each image, by the name of the image.

    The structure of folders that were searched is kept below `folder`; of several, each has a folder of its
    own. A copy is called ``NAME.png``, numbered if names repeat. Creates the folders, so that an unwritable
    one is reported before any work is done.

    Args:
        folder: for the copies.
        images: the images.
        overwrite: replace files from an earlier run.

    Raises:
        OutputError: a folder cannot be created or written to, or a copy would replace one of the images or,
            without `overwrite`, any other file.
    """
    make_folder(folder)
    originals = {image.path.resolve() for image in images}
    searched = list(dict.fromkeys(image.below for image in images if image.below is not None))
    chosen: dict[str, AnnotatedCopy] = {}
    taken: set[Path] = set()
    for image in images:
        path = _free_name(_place(folder, image, searched), _stem(image), taken)
        if path.resolve() in originals:
            raise OutputError(f"{path}: is one of the images; save to another folder")
        before = OutputState.of(path)
        if before and not overwrite:
            raise OutputError(f"{path}: exists; pass --overwrite to replace it, or save to another folder")
        if path.parent not in {one.parent for one in taken}:
            make_folder(path.parent)
        taken.add(path)
        chosen[image.name] = AnnotatedCopy(path, before)
    return chosen


def _place(folder: Path, image: ImageFile, searched: Sequence[Path]) -> Path:
    """The folder of an image's copy."""
    if image.below is None:
        return folder
    own = Path() if len(searched) == 1 else Path(image.below.resolve().name)
    return folder / own / image.path.parent.relative_to(image.below)


def _stem(image: ImageFile) -> str:
    stem = image.path.stem if image.path.name != "-" else "standard-input"
    return stem if image.frame is None else f"{stem}#{image.frame}"


def _free_name(folder: Path, stem: str, taken: set[Path]) -> Path:
    path, number = folder / f"{stem}.png", 1
    while path in taken:
        number += 1
        path = folder / f"{stem}-{number}.png"
    return path
