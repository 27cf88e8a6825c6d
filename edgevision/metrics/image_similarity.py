"""Similarity of two images: PSNR and SSIM, computed with scikit-image."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, MissingRuntimeError

#: A PSNR that images which differ hardly exceed: one value of 150,000 that differs by one level.
HIGHEST_PSNR_DB = 100.0
#: Side and standard deviation of the Gaussian window of SSIM, in pixels (Wang et al. 2004, section III.C).
_WINDOW, _SIGMA = 11, 1.5
#: Side of the uniform window for images that the Gaussian one does not fit in.
_SMALL_WINDOW = 7

Pixels = NDArray[np.uint8]


def psnr_db(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio of two uint8 images ``(h, w, c)``, in dB; infinite for equal ones.

    Raises:
        InputError: the images differ in size.
        MissingRuntimeError: scikit-image is not installed.
    """
    _check(first, second)
    if np.array_equal(first, second):
        return math.inf
    return float(_metrics().peak_signal_noise_ratio(first, second, data_range=255))


def ssim(first: Pixels, second: Pixels) -> float:
    """Mean structural similarity of two uint8 images ``(h, w, c)``, -1…1; 1 for equal ones.

    As Wang et al. 2004 (IEEE Transactions on Image Processing 13:600) define it: with a Gaussian window of
    11x11 pixels and a standard deviation of 1.5; the mean over the channels. For images with a side of 7 to
    10 pixels (`has_small_window`) the window is uniform, of 7x7 pixels.

    Raises:
        InputError: the images differ in size, or have a side of less than 7 pixels.
        MissingRuntimeError: scikit-image is not installed.
    """
    _check(first, second)
    if min(first.shape[:2]) < _SMALL_WINDOW:
        raise InputError(
            f"images of {first.shape[1]}x{first.shape[0]} pixels are too small for SSIM; "
            f"expected {_SMALL_WINDOW}x{_SMALL_WINDOW} or more"
        )
    window: dict[str, Any] = {"gaussian_weights": True, "sigma": _SIGMA, "use_sample_covariance": False}
    if has_small_window(first):
        window = {"win_size": _SMALL_WINDOW}
    return float(_metrics().structural_similarity(first, second, data_range=255, channel_axis=-1, **window))


def has_small_window(image: Pixels) -> bool:
    """True if the Gaussian window of SSIM does not fit in an image ``(h, w, c)``."""
    return bool(min(image.shape[:2]) < _WINDOW)


def _check(first: Pixels, second: Pixels) -> None:
    if first.shape != second.shape:
        raise InputError(
            f"images of shape {first.shape} and {second.shape} cannot be compared; expected the same"
        )


def _metrics() -> Any:
    try:
        return import_module("skimage.metrics")
    except ImportError as error:
        reason = "scikit-image, which compares images, is not installed"
        raise MissingRuntimeError("evaluate", reason) from error
