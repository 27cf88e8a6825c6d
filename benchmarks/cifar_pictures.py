"""CIFAR-10 as arrays of the size that a network takes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]


def cifar_pictures(archive: Path, count: int | None = None) -> tuple[Pictures, NDArray[np.int64]]:
    """Images and their classes, from an archive with one folder per class.

    Args:
        archive: ``cifar10-train.zip`` or ``cifar10-test.zip``.
        count: images, evenly spaced over all classes; `None` for all.

    Returns:
        (n, 32, 32, 3) uint8 RGB and (n,) class numbers, in the order of the classes' names.
    """
    with zipfile.ZipFile(archive) as members:
        names = sorted(name for name in members.namelist() if name.endswith(".jpg"))
        classes = sorted({Path(name).parent.name for name in names})
        places = np.linspace(0, len(names) - 1, min(count or len(names), len(names))).round().astype(int)
        chosen = [names[place] for place in places]
        encoded = [np.frombuffer(members.read(name), np.uint8) for name in chosen]
    images = np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) for data in encoded])
    return images, np.array([classes.index(Path(name).parent.name) for name in chosen])


def resized(images: Pictures, width: int, height: int) -> Pictures:
    """Images as `convert` resizes them: (n, height, width, 3) uint8."""
    if images.shape[1:3] == (height, width):
        return images
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR) for image in images])


def gray(images: Pictures) -> Pictures:
    """Images in grey, as `convert` computes it: (n, height, width, 1) uint8."""
    return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] for image in images])
