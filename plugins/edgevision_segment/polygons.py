"""Ground truth of segmentations: polygons of a COCO JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import (
    ImageSet,
    InputError,
    MissingRuntimeError,
    OptionError,
    json_document,
    whole_number,
)
from edgevision_segment.segmentation import BACKGROUND, VOID

Mask = NDArray[np.uint8]
_MOST_BYTES = 1_000_000_000
#: Pixels of the largest mask: as of the largest image that is decoded.
_MOST_PIXELS = 1 << 30
#: A corner may be this many sides of the image away from it.
_FARTHEST = 4


def read_polygons(path: str | Path, images: ImageSet, labels: Sequence[str]) -> list[Mask]:
    """The mask of each image, from polygons or run lengths, in the way of pycocotools.

    Where objects overlap, the smaller one is in front. A crowd is left out (255), and so is every pixel of no
    object if the network has no background.

    Args:
        path: a COCO JSON file.
        images: whose masks are wanted.
        labels: one name per class; the categories use them.

    Returns:
        uint8 ``(height, width)`` each.

    Raises:
        InputError: it cannot be read, an entry is not valid, a category is no class, or an image is missing.
        MissingRuntimeError: pycocotools is not installed.
    """
    document = json_document(path, _MOST_BYTES)
    try:
        entries = {str(one["file_name"]): one for one in document["images"]}
        categories = {one["id"]: str(one["name"]) for one in document["categories"]}
        objects: dict[Any, list[tuple[str, Mapping[str, Any]]]] = {}
        for number, one in enumerate(document["annotations"]):
            objects.setdefault(one["image_id"], []).append((f"{path}: annotations[{number}]", one))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a COCO annotation file: {type(error).__name__}: {error}; expected images, "
            "categories and annotations"
        ) from error
    by_name = {PurePosixPath(name).name: one for name, one in entries.items()} | entries
    masks = []
    for name in images.image_names:
        entry = by_name.get(name) or by_name.get(PurePosixPath(name).name)
        if entry is None:
            raise InputError(
                f"{path}: no entry for image '{name}'; add one, without objects if the image shows none"
            )
        masks.append(_mask(entry, objects.get(entry.get("id"), []), categories, labels, f"{path}: '{name}'"))
    return masks


def _mask(
    entry: Mapping[str, Any],
    objects: Sequence[tuple[str, Mapping[str, Any]]],
    categories: Mapping[Any, str],
    labels: Sequence[str],
    where: str,
) -> Mask:
    try:
        height, width = (whole_number(entry.get(side), f"{where}: {side}", 1) for side in ("height", "width"))
    except OptionError as error:
        raise InputError(str(error)) from error
    if height * width > _MOST_PIXELS:
        raise InputError(f"{where}: an image of {width}x{height} pixels is too large for a mask")
    size = height, width
    mask = np.full(size, labels.index(BACKGROUND) if BACKGROUND in labels else VOID, np.uint8)
    parts = [_part(one, size, categories, labels, where) for where, one in objects]
    for number, pixels in sorted(parts, key=lambda part: -int(part[1].sum())):
        mask[pixels] = number
    return mask


def _part(
    entry: Mapping[str, Any],
    size: tuple[int, int],
    categories: Mapping[Any, str],
    labels: Sequence[str],
    where: str,
) -> tuple[int, NDArray[np.bool_]]:
    label = categories.get(entry.get("category_id"))
    if label not in labels:
        raise InputError(
            f"{where}: category {label or entry.get('category_id')!r} is no class of the model "
            f"({', '.join(labels[:20])})"
        )
    outline = entry.get("segmentation")
    if not outline:
        raise InputError(f"{where}: has no segmentation; expected polygons or run lengths, not a box alone")
    pixels = _decoded(outline, size, where)
    return VOID if entry.get("iscrowd") else labels.index(label), pixels


def _decoded(outline: Any, size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        reason = "pycocotools, which reads COCO's polygons, is not installed"
        raise MissingRuntimeError("evaluate", reason) from error
    try:
        if isinstance(outline, list):
            _check_polygons(outline, _FARTHEST * max(size))
        compressed = isinstance(outline, dict) and isinstance(outline["counts"], (str, bytes))
        runs = outline if compressed else coco.frPyObjects(outline, *size)
        if list(outline["size"] if isinstance(outline, dict) else size) != list(size):
            raise ValueError(f"run lengths of {outline['size']}, and the image is {list(size)}")
        found = coco.decode(runs)
    except Exception as error:  # of pycocotools, for whatever stands there
        raise InputError(f"{where}: segmentation is not valid: {error}") from error
    return np.asarray(found.any(axis=2) if found.ndim == 3 else found > 0)


def _check_polygons(polygons: Sequence[Any], farthest: float) -> None:
    """Raise ValueError for what the library would read beyond its memory for, or draw for hours."""
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2:
            raise ValueError("expected x and y of three corners or more")
        if not (np.abs(corners) <= farthest).all():
            raise ValueError(f"expected corners in pixels of the image, got {corners.max():g}")
