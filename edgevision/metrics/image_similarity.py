"""Similarity of two images: PSNR and SSIM, computed with scikit-image."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import InputError, MissingRuntimeError

#: Stands for the infinite PSNR of equal images, which JSON cannot express.
HIGHEST_PSNR_DB = 100.0
#: Side of the window of SSIM, Wang et al. 2004.
_WINDOW = 7

Pixels = NDArray[np.uint8]


def psnr_db(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio of two uint8 images ``(h, w, c)``, in dB, at most `HIGHEST_PSNR_DB`.

    Raises:
        InputError: the images differ in size.
        MissingRuntimeError: scikit-image is not installed.
    """
    _check(first, second)
    if np.array_equal(first, second):
        return HIGHEST_PSNR_DB
    return min(HIGHEST_PSNR_DB, float(_metrics().peak_signal_noise_ratio(first, second, data_range=255)))


def ssim(first: Pixels, second: Pixels) -> float:
    """Mean structural similarity of two uint8 images ``(h, w, c)``, Wang et al. 2004; 1 for equal ones.

    Raises:
        InputError: the images differ in size, or are smaller than the window of SSIM, 7 pixels.
        MissingRuntimeError: scikit-image is not installed.
    """
    _check(first, second)
    if min(first.shape[:2]) < _WINDOW:
        raise InputError(
            f"images of {first.shape[1]}x{first.shape[0]} pixels are too small for SSIM; expected 7x7 or more"
        )
    return float(_metrics().structural_similarity(first, second, data_range=255, channel_axis=-1))


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
