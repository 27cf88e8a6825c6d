"""Ground truth of segmentations: a mask for each image, as PNG."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from edgevision.tasks.api import ImageSet, InputError, decode_image
from edgevision_segment.segmentation import VOID

Mask = NDArray[np.uint8]
_PNG = b"\x89PNG\r\n\x1a\n"
_INDEXED = 3


def read_masks(path: str | Path, images: ImageSet, labels: Sequence[str]) -> list[Mask]:
    """The mask of each image, from the file in `path` whose name is the image's, but for its suffix.

    A grey PNG holds class numbers; one with a palette holds their index, as in Pascal VOC; 255 is left out of
    the comparison. With two classes, masks of 0 and 255 alone, or of True and False, mean the second class.

    Args:
        path: a folder, or a zip of one.
        images: whose masks are wanted.
        labels: one name per class.

    Returns:
        uint8 ``(height, width)`` each.

    Raises:
        InputError: a mask is missing, cannot be read, or has a number without a class.
    """
    masks = ImageSet.open(path)
    places = {_stem(name): place for place, name in enumerate(masks.image_names)}
    found = []
    for name in images.image_names:
        place = places.get(_stem(name))
        if place is None:
            raise InputError(f"{path}: has no mask for image '{name}'; expected a PNG of the same name")
        content = masks.file_content(place)
        if content is None:
            raise InputError(f"{path}: the mask of '{name}' has no file")
        found.append(class_numbers(content, f"{path}: {masks.image_names[place]}"))
    values = set().union(*(np.unique(mask).tolist() for mask in found))
    if len(labels) == 2 and values == {0, VOID}:
        found = [(mask == VOID).astype(np.uint8) for mask in found]
    for name, mask in zip(images.image_names, found, strict=True):
        wrong = np.unique(mask[(mask >= len(labels)) & (mask != VOID)])
        if len(wrong):
            raise InputError(
                f"{path}: the mask of '{name}' has the class {wrong[0]}, and the model has {len(labels)} "
                f"classes, 0 to {len(labels) - 1}; 255 marks pixels that are left out"
            )
    return found


def class_numbers(content: bytes, where: str) -> Mask:
    """The class numbers in a PNG: its grey values, or the indices into its palette.

    Args:
        content: the file.
        where: names it in errors.

    Raises:
        InputError: it is no PNG of 8 bits or fewer, has colours without a palette, or a palette with one
            colour twice.
    """
    if content[:8] != _PNG:
        raise InputError(f"{where}: expected a mask as PNG, since other formats change class numbers")
    bits, kind = content[24], content[25]
    expected = "expected class numbers, as grey values of 8 bits or as a palette"
    if bits > 8:
        raise InputError(f"{where}: {expected}; it has {bits} bits")
    pixels = decode_image(content, where)
    if kind == _INDEXED:
        return _indices(pixels, _palette(content, where), where)
    if pixels.ndim == 3 and (pixels != pixels[..., :1]).any():
        raise InputError(f"{where}: {expected}; it has colours")
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    # PNG with fewer bits is decoded to 0…255: its numbers are the steps.
    return np.asarray(grey // (255 // (2**bits - 1)), np.uint8) if bits < 8 else np.asarray(grey, np.uint8)


def _palette(content: bytes, where: str) -> NDArray[np.uint8]:
    """uint8 ``(colours, 3)``."""
    at = 8
    while at + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        if name == b"PLTE":
            return np.frombuffer(content[at + 8 : at + 8 + length], np.uint8).reshape(-1, 3)
        at += 12 + length
    raise InputError(f"{where}: the PNG has no palette")


def _indices(pixels: NDArray[np.uint8], palette: NDArray[np.uint8], where: str) -> Mask:
    weights = np.array([65536, 256, 1])
    keys, colors = palette.astype(np.int64) @ weights, pixels.astype(np.int64) @ weights
    used = np.unique(colors)
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], used)
    last = np.searchsorted(keys[order], used, side="right")
    if (last - first != 1).any():
        raise InputError(
            f"{where}: its palette has a colour more than once, so that classes cannot be told apart; save "
            "the class numbers as grey values"
        )
    return np.asarray(order[first][np.searchsorted(used, colors)], np.uint8)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
