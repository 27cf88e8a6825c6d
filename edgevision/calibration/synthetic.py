"""A calibration set for those who have no images: made from the model itself.

Batch normalizations remember mean and variance of what they took in training. Noise is moved until it gives
them the same: distilled data of ZeroQ (Cai et al., 2020, arXiv:2001.00281) and DeepInversion (Yin et al.,
2020, arXiv:1912.08795).
"""

from __future__ import annotations

import cv2
import numpy as np

from edgevision.calibration.findings import Finding
from edgevision.converter import NormalizedSource, Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tensors import Array

#: What a caller writes instead of a folder of images.
SYNTHETIC = "synthetic"
#: More make the ranges little wider, and take longer. Of large images fewer are made, for each step of each
#: costs a pass through the network and back; ZeroQ's sets have 32.
IMAGES, _FEWEST = 128, 32
_PIXELS_OF_ALL = IMAGES * 96 * 96

_NAME = "synthetic (batch-norm statistics of the source)"
#: Contrast of each octave of the noise to begin with, as a share of the octave before: photos' falls alike.
_OCTAVE = 0.8


def synthetic_set(
    source: Source, preprocessing: Preprocessing, most: int = IMAGES, seed: int = 0
) -> ImageSet:
    """Images, at the network's size, that its batch normalizations take for those of the training.

    Args:
        source: with batch normalizations, and one input: the image.
        preprocessing: from an image to that input.
        most: images; fewer are made of a network for large ones.
        seed: the same gives the same images.

    Raises:
        OptionError: the source has no batch normalizations, or inputs beside the image.
    """
    where = f"{source.path}: --calibration {SYNTHETIC}"
    if not isinstance(source, NormalizedSource) or not source.norms:
        raise OptionError(
            f"{where}: the model has no batch normalizations, which alone remember what training images were "
            "like; type --calibration FOLDER with images of yours"
        )
    if len(source.inputs) != 1:
        raise OptionError(
            f"{where}: makes images alone, and the model has other inputs; type --calibration FOLDER"
        )
    spec = source.inputs[0]
    low, high = (_tensor_value(preprocessing, pixel) for pixel in (0.0, 255.0))
    width, height = preprocessing.size_wh
    count = min(most, IMAGES, max(_FEWEST, _PIXELS_OF_ALL // (width * height)))
    shares = _to_layout(first_noise(count, preprocessing, seed), preprocessing)
    start = (low + shares * (high - low)).astype(np.float32)
    tensors = source.distilled({spec.name: start}, np.minimum(low, high), np.maximum(low, high))[spec.name]
    return ImageSet.from_arrays(_pixels((tensors - low) / (high - low), preprocessing), name=_NAME)


def synthetic_finding(images: ImageSet) -> Finding:
    """What evidence always says of such a set."""
    return Finding(
        "synthetic",
        "note",
        f"the {len(images)} calibration images were made from the model itself, and no picture was seen: "
        "calibrate on images of the use as soon as there are some",
    )


def first_noise(count: int, preprocessing: Preprocessing, seed: int) -> Array:
    """Noise of all scales, of more or less contrast, as photos are: float32 (n, h, w, channels) in 0…1."""
    width, height = preprocessing.size_wh
    channels = preprocessing.channels
    rng = np.random.default_rng(seed)
    noise = np.full((count, height, width, channels), 0.5, np.float32)
    for place in range(count):
        side, contrast = 1, 0.15 * float(np.exp(rng.normal(0, 0.5)))
        while side <= max(width, height):
            shape = (min(side, height), min(side, width))
            octave = rng.normal(0, contrast, (*shape, 1)) + rng.normal(0, contrast / 2, (*shape, channels))
            noise[place] += cv2.resize(octave.astype(np.float32), (width, height)).reshape(noise.shape[1:])
            side, contrast = side * 2, contrast * _OCTAVE
    return np.asarray(noise.clip(0, 1))


def _tensor_value(preprocessing: Preprocessing, pixel: float) -> Array:
    """What a pixel becomes, float32, to be broadcast to an image's tensor."""
    low, high = preprocessing.value_range
    value = low + pixel / 255 * (high - low)
    channels = (value - np.asarray(preprocessing.mean)) / np.asarray(preprocessing.scale)
    shape = (-1,) if preprocessing.layout == "nhwc" else (-1, 1, 1)
    return np.asarray(channels, np.float32).reshape(shape)


def _to_layout(images: Array, preprocessing: Preprocessing) -> Array:
    return images if preprocessing.layout == "nhwc" else images.transpose(0, 3, 1, 2)


def _pixels(shares: Array, preprocessing: Preprocessing) -> Array:
    """uint8 RGB, or grey without channels, of tensors in 0…1."""
    images = shares if preprocessing.layout == "nhwc" else shares.transpose(0, 2, 3, 1)
    if preprocessing.color == "gray":
        images = images[..., 0]
    elif preprocessing.color == "bgr":
        images = images[..., ::-1]
    return np.ascontiguousarray(np.rint(images.clip(0, 1) * 255).astype(np.uint8))
