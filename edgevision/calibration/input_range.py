"""Whether the values and the colour order of a network's input are those that it was trained on.

A network's first batch normalization remembers mean and variance of what it takes. If calibration images
come nearer to them when their pixels are read in another way, that other way is likely the right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgevision.calibration.findings import Finding
from edgevision.converter import NormalizedSource, Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.decode import Pixels
from edgevision.imaging.preprocess import Preprocessing, Preprocessor, keras_applications_preprocessing
from edgevision.tensors import Array

_IMAGES = 128
#: Statistics of fewer images say nothing of their colours.
_FEWEST = 32
#: How many times nearer another reading must come, on either half of the images. A wrong range is 50 times
#: as far away and more, swapped colours 1.1 to 9 times; of three networks and 24 samples of 32 images, the
#: right order was the nearer one on every one.
_FAR_RANGE, _FAR_COLOR = 5.0, 1.5
#: Divergence in nats below which the statistics are those of training, whatever else is nearer.
_FITS = 0.005


@dataclass(frozen=True)
class _Reading:
    """One way to read pixels, and how many times nearer it must be than the way that was given."""

    check: str
    told: str
    option: str
    preprocessing: Preprocessing
    far: float


def check_input_range(source: Source, preprocessing: Preprocessing, images: ImageSet) -> Finding | None:
    """A warning if calibration images fit the source far better when they are read in another way.

    Says nothing of a source without batch normalizations or with inputs beside the image, nor of fewer than
    32 images.
    """
    if not isinstance(source, NormalizedSource) or not source.norms or len(source.inputs) != 1:
        return None
    sample = [preprocessing.resized(image) for image in images.sample(_IMAGES)]
    if len(sample) < _FEWEST:
        return None
    halves = (sample[::2], sample[1::2])
    given = _distances(source, preprocessing, halves)
    if given.max() < _FITS:
        return None
    others = [(one, _distances(source, one.preprocessing, halves)) for one in _readings(preprocessing)]
    better = [(one, found) for one, found in others if (found * one.far < given).all()]
    if not better:
        return None
    best, found = min(better, key=lambda pair: float(pair[1].sum()))
    return Finding(
        best.check,
        "warning",
        f"the images fit what the source remembers of its training {(given / found).min():.1f} times better "
        f"{best.told}: batch normalization '{source.norms[0]}' is {found.mean():.2g} nats away then, "
        f"{given.mean():.2g} as it is; type {best.option} if that is how it was trained",
    )


def _distances(source: Any, preprocessing: Preprocessing, halves: Sequence[list[Pixels]]) -> Array:
    return np.array([source.norm_distance(_tensors(source, preprocessing, half)) for half in halves])


def _tensors(source: Source, preprocessing: Preprocessing, images: Sequence[Pixels]) -> Mapping[str, Array]:
    spec = source.inputs[0]
    preprocess = Preprocessor(preprocessing, spec)
    tensor = np.empty(spec.with_batch(len(images)), spec.dtype)
    for image, slot in zip(images, tensor, strict=True):
        preprocess(image, slot)
    return {spec.name: tensor}


def _readings(given: Preprocessing) -> Iterator[_Reading]:
    if given.color != "gray":
        swapped = "bgr" if given.color == "rgb" else "rgb"
        other = replace(given, color=swapped, mean=given.mean[::-1], scale=given.scale[::-1])
        yield _Reading("colour-order", f"as {swapped.upper()}", f"--color {swapped}", other, _FAR_COLOR)
    for low, high in ((0, 255), (0, 1), (-1, 1)):
        other = replace(given, value_range=(float(low), float(high)), mean=(0.0,), scale=(1.0,))
        option = f"--input-range={low}..{high}"
        yield _Reading("value-range", f"with values of {low}…{high}", option, other, _FAR_RANGE)
    for family in ("resnet50", "densenet"):
        values = keras_applications_preprocessing(family)
        if given.color != "gray":
            option = f"--preprocess {family}"
            yield _Reading(
                "value-range",
                f"as keras.applications.{family} reads them",
                option,
                replace(given, **values),
                _FAR_RANGE,
            )
