"""Synthetic calibration sets, generated from the model alone.

Batch normalizations store the mean and variance of their training inputs. Noise is optimized until its
statistics match them: the distilled data of ZeroQ (Cai et al., 2020, arXiv:2001.00281) and DeepInversion
(Yin et al., 2020, arXiv:1912.08795).
"""

from __future__ import annotations

import cv2
import numpy as np

from edgevision.calibration.findings import Finding
from edgevision.converter import NormalizedSource, Source
from edgevision.datasets.image_sets import ImageSet
from edgevision.errors import OptionError
from edgevision.imaging.frame import Frame
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tensors import Array

#: Value of ``--calibration`` that requests a synthetic set.
SYNTHETIC = "synthetic"
#: Images of a set: more take longer and hardly widen the ranges. Sets of large images are smaller, because
#: each step costs a forward and a backward pass per image; ZeroQ's sets have 32 images.
IMAGES, _FEWEST = 128, 32
_PIXELS_OF_ALL = IMAGES * 96 * 96

_NAME = "synthetic (batch-norm statistics of the source)"
#: Contrast of each octave of the initial noise relative to the octave before, which falls like that of
#: photos.
_OCTAVE = 0.8


def synthetic_set(
    source: Source, preprocessing: Preprocessing, most: int = IMAGES, seed: int = 0
) -> ImageSet:
    """Images of the network's input size whose statistics match those of the training images.

    Args:
        source: model with batch normalizations and a single input, the image.
        preprocessing: from an image to that input.
        most: largest number of images; networks with large inputs get fewer.
        seed: the same seed gives the same images.

    Raises:
        OptionError: the source has no batch normalizations, or further inputs.
    """
    where = f"{source.path}: --calibration {SYNTHETIC}"
    if not isinstance(source, NormalizedSource) or not source.norms:
        raise OptionError(
            f"{where}: the model has no batch normalizations, whose statistics a synthetic set is generated "
            "from; pass --calibration FOLDER with images like those in use"
        )
    if len(source.inputs) != 1:
        raise OptionError(
            f"{where}: synthetic sets contain images only, and the model has further inputs; "
            "pass --calibration FOLDER"
        )
    spec = source.inputs[0]
    low, high = (_tensor_value(preprocessing, pixel) for pixel in (0.0, 255.0))
    width, height = preprocessing.size_wh
    count = min(most, IMAGES, max(_FEWEST, _PIXELS_OF_ALL // (width * height)))
    shares = _to_layout(first_noise(count, preprocessing, seed), preprocessing)
    start = (low + shares * (high - low)).astype(np.float32)
    tensors = source.distilled({spec.name: start}, np.minimum(low, high), np.maximum(low, high))[spec.name]
    shares = _channels_last((tensors - low) / (high - low), preprocessing).clip(0, 1)
    return ImageSet.from_arrays(_images(shares, preprocessing), name=_NAME)


def synthetic_finding(images: ImageSet) -> Finding:
    """The note that the evidence keeps about every synthetic set."""
    return Finding(
        "synthetic",
        "note",
        f"the {len(images)} calibration images are synthetic, generated from the model without any photo; "
        "calibrate on images like those in use as soon as you have some",
    )


def first_noise(count: int, preprocessing: Preprocessing, seed: int) -> Array:
    """Noise with photo-like scales and contrasts, float32 (n, h, w, channels) in 0…1."""
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
    """The tensor values of a pixel, float32, broadcastable to the tensor of an image."""
    low, high = preprocessing.value_range
    value = low + pixel / 255 * (high - low)
    channels = (value - np.asarray(preprocessing.mean)) / np.asarray(preprocessing.scale)
    shape = (-1,) if preprocessing.layout == "nhwc" else (-1, 1, 1)
    return np.asarray(channels, np.float32).reshape(shape)


def _to_layout(images: Array, preprocessing: Preprocessing) -> Array:
    return images if preprocessing.layout == "nhwc" else images.transpose(0, 3, 1, 2)


def _channels_last(shares: Array, preprocessing: Preprocessing) -> Array:
    """(n, h, w, 3) in the order RGB, or (n, h, w) for grey."""
    images = shares if preprocessing.layout == "nhwc" else shares.transpose(0, 2, 3, 1)
    if preprocessing.color == "gray":
        images = images[..., 0]
    elif preprocessing.color == "bgr":
        images = images[..., ::-1]
    return images


def _images(shares: Array, preprocessing: Preprocessing) -> Array | list[Frame]:
    """Images from shares of white: uint8, or frames where the network's images have more bits."""
    if preprocessing.mapping.is_plain:
        return np.ascontiguousarray(np.rint(shares * 255).astype(np.uint8))
    color = "gray" if preprocessing.color == "gray" else "rgb"
    pixels = np.ascontiguousarray(shares, np.float32)
    return [Frame(one, color, levels=(0.0, 1.0)) for one in pixels]
