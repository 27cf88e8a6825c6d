"""The images that a row of `architectures.py` is calibrated and evaluated on, in the size of its network."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from architectures import Row
from cifar_pictures import Pictures, cifar_pictures, resized
from numpy.typing import NDArray

#: Crops of photos for the network of facial expressions: it takes any picture, and nobody here has faces.
_CROPS, _CROP_PIXELS = 1000, 48


class Labelled(NamedTuple):
    """Images (n, height, width, 3) uint8 RGB, and their classes (n,), where the network's are known."""

    images: Pictures
    classes: NDArray[np.int64] | None


def evaluation_pictures(row: Row, data: Path, count: int) -> Labelled:
    """Images that the network is evaluated on, up to `count`, which it was not calibrated on."""
    if row.name == "fer_emotion":
        return Labelled(_crops(row, data, "test", "val", min(count, _CROPS), seed=0), None)
    if row.name == "blood_cells":
        return Labelled(_blood(row, data, "val", count), None)
    images, classes = cifar_pictures(data / "cifar10-test.zip", count)
    return Labelled(resized(images, *row.size_wh), classes)


def calibration_pictures(row: Row, data: Path, count: int) -> Labelled:
    """Images that the ranges of int8 are set on."""
    if row.name == "fer_emotion":
        return Labelled(_crops(row, data, "train", "train", count, seed=1), None)
    if row.name == "blood_cells":
        return Labelled(_blood(row, data, "train", count), None)
    images, classes = cifar_pictures(data / "cifar10-train.zip", count)
    return Labelled(resized(images, *row.size_wh), classes)


def _blood(row: Row, data: Path, part: str, count: int) -> Pictures:
    return np.concatenate([resized(photo[None], *row.size_wh) for photo in _photos(data, part)[:count]])


def _photos(data: Path, part: str) -> list[Pictures]:
    with zipfile.ZipFile(data / "bccd.zip") as archive:
        names = archive.read(f"BCCD/{part}.txt").decode().split()
        encoded = [np.frombuffer(archive.read(f"BCCD/JPEGImages/{name}.jpg"), np.uint8) for name in names]
    return [np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), np.uint8) for content in encoded]


def _crops(row: Row, data: Path, cifar: str, blood: str, count: int, seed: int) -> Pictures:
    """Seeded crops, half of them of blood cells, half of CIFAR-10's photos enlarged to twice their size."""
    rng = np.random.default_rng(seed)
    small = cifar_pictures(data / f"cifar10-{cifar}.zip", count - count // 2)[0]
    photos = [*resized(small, 64, 64)]
    cells = _photos(data, blood)
    photos += [cells[rng.integers(len(cells))] for _ in range(count // 2)]
    found = []
    for photo in photos:
        top, left = (rng.integers(0, side - _CROP_PIXELS + 1) for side in photo.shape[:2])
        found.append(photo[top : top + _CROP_PIXELS, left : left + _CROP_PIXELS])
    return resized(np.stack(found), *row.size_wh)
