"""A wrong input range or colour order is detected by the statistics of a batch normalization."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision.calibration.input_range import check_input_range
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.preprocess import Preprocessing
from edgevision.tensors import TensorSpec

TRAINED = Preprocessing((24, 24), (0.0, 1.0))
MEAN, VARIANCE = np.array([0.55, 0.45, 0.3]), np.array([0.06, 0.05, 0.07])


class Remembers:
    """A source whose first batch normalization takes the input itself."""

    path = Path("model.keras")
    inputs = (TensorSpec("image", (None, 24, 24, 3), "float32"),)
    norms: tuple[str, ...] = ("norm",)

    def norm_distance(self, inputs: Any) -> float:
        """As `NormalizedSource.norm_distance`."""
        pixels = inputs["image"].reshape(-1, 3).astype(np.float64)
        mean, variance = pixels.mean(axis=0), pixels.var(axis=0)
        away = (variance + (mean - MEAN) ** 2) / VARIANCE
        return float((0.5 * (np.log(VARIANCE / variance) + away - 1)).mean())

    def distilled(self, start: Any, low: Any, high: Any) -> Any:
        """Unused here."""


@pytest.fixture(scope="module")
def images() -> ImageSet:
    """Images with the statistics of the training."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(MEAN, np.sqrt(VARIANCE), (64, 24, 24, 3)) * 255
    return ImageSet.from_arrays(pixels.clip(0, 255).astype(np.uint8))


def check(preprocessing: Preprocessing, images: ImageSet, source: Any = None) -> Any:
    return check_input_range(source or Remembers(), preprocessing, images)


def test_the_right_input_range_has_no_finding(images: ImageSet) -> None:
    assert check(TRAINED, images) is None


@pytest.mark.parametrize("wrong", [(0.0, 255.0), (-1.0, 1.0)])
def test_a_wrong_range_gets_a_warning_with_the_option_to_pass(
    images: ImageSet, wrong: tuple[float, float]
) -> None:
    finding = check(replace(TRAINED, value_range=wrong), images)
    assert (finding.check, finding.severity) == ("value-range", "warning")
    assert "pass --input-range=0..1" in finding.text
    assert "batch normalization 'norm'" in finding.text


def test_swapped_colours_get_a_warning(images: ImageSet) -> None:
    finding = check(replace(TRAINED, color="bgr"), images)
    assert finding.check == "colour-order"
    assert "pass --color rgb" in finding.text


def test_without_statistics_or_enough_images_there_is_no_finding(images: ImageSet) -> None:
    wrong = replace(TRAINED, value_range=(0.0, 255.0))
    without = Remembers()
    without.norms = ()
    assert check(wrong, images, without) is None
    assert check(wrong, images, SimpleNamespace(inputs=Remembers.inputs)) is None
    assert check(wrong, images.sample(31)) is None
