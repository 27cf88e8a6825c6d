"""The ground truth of an evaluation set, in the form that evaluators compare with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevision.datasets.annotations import read_annotations, shown_classes
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import InputError, OptionError
from edgevision.metrics.classification import Truth
from edgevision.metrics.image_similarity import Pixels


def truth_images(path: Path, images: ImageSet) -> list[Pixels]:
    """What a network should make of each image: the images of `path` that have the same names.

    Raises:
        InputError: there is none of a name, or one cannot be read.
    """
    truth = ImageSet.open(path)
    places = {name: place for place, name in enumerate(truth.image_names)}
    missing = [name for name in images.image_names if name not in places]
    if missing:
        raise InputError(f"{path}: holds no image '{missing[0]}', which {images.name} holds")
    all_images = list(truth)
    return [all_images[places[name]] for name in images.image_names]


def classify_truth(
    images: ImageSet, labels: tuple[str, ...], annotations: Path | None, multi_label: bool
) -> Truth | None:
    """The place of each image's class among the labels, int64 ``(images,)``; `None` where nothing tells it.

    Of a network with independent scores and with annotations: every class that an image shows, bool
    ``(images, classes)``.

    Raises:
        OptionError: there are annotations for a network that tells one class an image.
        InputError: a class of the images is none of the network's, or the annotations cannot be used.
    """
    if annotations is not None:
        if not multi_label:
            raise OptionError(
                f"--annotations {annotations}: this network tells one class an image; "
                f"sort the images into a folder a class, and leave it out"
            )
        return shown_classes(read_annotations(annotations, images.image_names, labels), len(labels))
    if images.labels is None:
        return None
    unknown = [name for name in images.class_names if name not in labels]
    if unknown:
        told = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
        raise InputError(f"{images.name}: class '{unknown[0]}' is none of the labels: {told}")
    places = np.array([labels.index(name) for name in images.class_names], np.int64)
    return np.asarray(places[images.labels], np.int64)
