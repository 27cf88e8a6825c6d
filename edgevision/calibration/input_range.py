"""Check of the input range and the colour order against the statistics of the training.

The first batch normalization of a network stores the mean and variance of its training inputs. If another
input range or colour order brings the calibration images closer to them, it is probably the right one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.calibration.alternatives import alternatives
from edgevision.calibration.findings import Finding
from edgevision.converter import NormalizedSource, Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.tensors import Array

_Image = NDArray[np.uint8] | Frame

_IMAGES = 128
#: With fewer images, their statistics do not determine the colour order.
_FEWEST = 32
#: Factor by which an alternative must be closer, on either half of the images. A wrong range is at least 50
#: times as far away, swapped colours are 1.1 to 9 times; for three networks and 24 samples of 32 images, the
#: right order was always the closer one.
_FAR = {"value-range": 5.0, "colour-order": 1.5}
#: Divergence in nats below which the statistics match the training, even if an alternative is closer.
_FITS = 0.005


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
    others = [(one, _distances(source, one.preprocessing, halves)) for one in alternatives(preprocessing)]
    closer = [(one, away) for one, away in others if (away * _FAR[one.check] < current).all()]
    if not closer:
        return None
    best, away = min(closer, key=lambda pair: float(pair[1].sum()))
    return Finding(
        best.check,
        "warning",
        f"the images of {images.name} match the training statistics of the model "
        f"{(current / away).min():.1f} times better {best.description}: distance {away.mean():.2g} instead "
        f"of {current.mean():.2g} nats at batch normalization '{source.norms[0]}'; pass {best.option} if the "
        f"model was trained like that",
    )


def _distances(source: Any, preprocessing: Preprocessing, halves: Sequence[list[_Image]]) -> Array:
    return np.array([source.norm_distance(_tensors(source, preprocessing, half)) for half in halves])


def _tensors(source: Source, preprocessing: Preprocessing, images: Sequence[_Image]) -> Mapping[str, Array]:
    spec = source.inputs[0]
    preprocess = Preprocessor(preprocessing, spec)
    tensor = np.empty(spec.with_batch(len(images)), spec.dtype)
    for image, slot in zip(images, tensor, strict=True):
        preprocess(image, slot)
    return {spec.name: tensor}
