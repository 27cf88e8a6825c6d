"""Check of the input range and the colour order against the statistics of the training.

The first batch normalization of a network stores the mean and variance of its training inputs. If another
input range or colour order brings the calibration images closer to them, it is probably the right one.
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
#: With fewer images, their statistics do not determine the colour order.
_FEWEST = 32
#: Factor by which an alternative must be closer, on either half of the images. A wrong range is at least 50
#: times as far away, swapped colours are 1.1 to 9 times; for three networks and 24 samples of 32 images, the
#: right order was always the closer one.
_FAR_RANGE, _FAR_COLOR = 5.0, 1.5
#: Divergence in nats below which the statistics match the training, even if an alternative is closer.
_FITS = 0.005


@dataclass(frozen=True)
class _Alternative:
    """Another input range or colour order, and the factor by which it must be closer to cause a warning."""

    check: str
    description: str
    option: str
    preprocessing: Preprocessing
    factor: float


def check_input_range(source: Source, preprocessing: Preprocessing, images: ImageSet) -> Finding | None:
    """A warning if another input range or colour order fits the training statistics far better.

    `None` also for sources without batch normalizations or with further inputs, and for fewer than 32 images.
    """
    if not isinstance(source, NormalizedSource) or not source.norms or len(source.inputs) != 1:
        return None
    sample = [preprocessing.resized(image) for image in images.sample(_IMAGES)]
    if len(sample) < _FEWEST:
        return None
    halves = (sample[::2], sample[1::2])
    current = _distances(source, preprocessing, halves)
    if current.max() < _FITS:
        return None
    others = [(one, _distances(source, one.preprocessing, halves)) for one in _alternatives(preprocessing)]
    closer = [(one, away) for one, away in others if (away * one.factor < current).all()]
    if not closer:
        return None
    best, away = min(closer, key=lambda pair: float(pair[1].sum()))
    return Finding(
        best.check,
        "warning",
        f"the calibration images match the training statistics of the model {(current / away).min():.1f} "
        f"times better {best.description}: distance {away.mean():.2g} instead of {current.mean():.2g} nats "
        f"at batch normalization '{source.norms[0]}'; pass {best.option} if the model was trained like that",
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


def _alternatives(current: Preprocessing) -> Iterator[_Alternative]:
    if current.color != "gray":
        swapped = "bgr" if current.color == "rgb" else "rgb"
        other = replace(current, color=swapped, mean=current.mean[::-1], scale=current.scale[::-1])
        yield _Alternative("colour-order", f"as {swapped.upper()}", f"--color {swapped}", other, _FAR_COLOR)
    for low, high in ((0, 255), (0, 1), (-1, 1)):
        other = replace(current, value_range=(float(low), float(high)), mean=(0.0,), scale=(1.0,))
        option = f"--input-range={low}..{high}"
        yield _Alternative("value-range", f"with values of {low}…{high}", option, other, _FAR_RANGE)
    for family in ("resnet50", "densenet"):
        values = keras_applications_preprocessing(family)
        if current.color != "gray":
            option = f"--preprocess {family}"
            yield _Alternative(
                "value-range",
                f"with the preprocessing of keras.applications.{family}",
                option,
                replace(current, **values),
                _FAR_RANGE,
            )
