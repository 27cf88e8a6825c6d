"""CIFAR-10 from Keras's own loader or from image files, as arrays to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError

#: The order of the classes in Keras's loader, which is alphabetical.
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIZE = 32


def load_images(path: Path | None, split: str, limit: int | None = None) -> ImageSet:
    """Load the training or the test images.

    Args:
        path: a folder, or a zip of one, with one folder per class; `None` for Keras's own loader, which
            downloads the data set once.
        split: ``train`` or ``test``, for Keras's loader.
        limit: the largest number of images, spread over the classes.

    Raises:
        InputError: there are no images, or no classes.
    """
    images = _from_keras(split) if path is None else ImageSet.open(path)
    if images.labels is None:
        raise InputError(f"{path}: expected two or more folders, one per class, with images in each")
    return images if limit is None else images.sample(limit)


def pixels_of(images: ImageSet) -> NDArray[np.uint8]:
    """All images in one array: (n, 32, 32, 3) uint8 RGB.

    Raises:
        InputError: an image cannot be decoded, or has another size.
    """
    pixels = np.empty((len(images), SIZE, SIZE, 3), np.uint8)
    for target, image, name in zip(pixels, images, images.image_names, strict=True):
        if image.shape != target.shape:
            height, width = image.shape[:2]
            raise InputError(
                f"{images.name}: {name}: expected {SIZE} x {SIZE} pixels, got {width} x {height}"
            )
        target[...] = image
    return pixels


def labels_of(images: ImageSet) -> NDArray[np.int64]:
    """The class of each image: (n,) int64, indices into ``images.class_names``."""
    assert images.labels is not None, "load_images has checked it"
    return images.labels


def _from_keras(split: str) -> ImageSet:
    import keras

    parts = dict(zip(("train", "test"), keras.datasets.cifar10.load_data(), strict=True))
    pixels, labels = parts[split]
    return ImageSet.from_arrays(pixels, labels.ravel(), CLASS_NAMES, name=f"keras.datasets.cifar10, {split}")
