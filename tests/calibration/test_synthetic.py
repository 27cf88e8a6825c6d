"""Synthetic calibration sets are always noted, and refused for models without batch normalizations."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgevision.calibration.synthetic import first_noise, synthetic_finding, synthetic_set
from edgevision.errors import OptionError
from edgevision.imaging.preprocess import Preprocessing, Preprocessor
from edgevision.tensors import TensorSpec


class Keeps:
    """A source that returns its start as distilled, after checking it."""

    path = Path("model.keras")
    norms: tuple[str, ...] = ("norm",)

    def __init__(self, shape: tuple[int | None, ...]) -> None:
        self.inputs = (TensorSpec("image", shape, "float32"),)

    def norm_distance(self, inputs: Any) -> float:
        """Unused here."""
        return 0.0

    def distilled(self, start: Any, low: Any, high: Any) -> Any:
        """As `NormalizedSource.distilled`."""
        self.given = start["image"]
        assert (self.given >= low - 1e-4).all()
        assert (self.given <= high + 1e-4).all()
        return start


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing((32, 20), (0.0, 255.0)),
        Preprocessing((32, 20), (-1.0, 1.0), color="bgr", mean=(0.1, 0.2, 0.3), scale=(0.5, 0.6, 0.7)),
        Preprocessing((32, 20), (0.0, 1.0), color="gray"),
        Preprocessing((32, 20), (0.0, 1.0), layout="nchw", mean=(0.4, 0.5, 0.6)),
    ],
    ids=["bytes", "bgr", "gray", "nchw"],
)
def test_its_images_are_preprocessed_back_into_the_distilled_tensors(preprocessing: Preprocessing) -> None:
    source = Keeps((None, *preprocessing.image_shape))
    images = synthetic_set(source, preprocessing, 5)
    preprocess = Preprocessor(preprocessing, source.inputs[0])
    tensors = np.zeros(source.given.shape, np.float32)
    for image, slot in zip(images, tensors, strict=True):
        preprocess(image, slot)
    low, high = preprocessing.value_range
    assert np.abs(tensors - source.given).max() <= 0.51 * (high - low) / 255 / min(preprocessing.scale)


def test_the_seed_determines_the_set_and_sets_of_large_images_are_smaller() -> None:
    small = Preprocessing((32, 32), (0.0, 1.0))
    source = Keeps((None, 32, 32, 3))
    first, again, other = (synthetic_set(source, small, 4, seed) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    assert len(synthetic_set(source, small, 1000)) == 128
    large = Preprocessing((512, 512), (0.0, 1.0))
    assert len(synthetic_set(Keeps((None, 512, 512, 3)), large)) == 32


def test_a_synthetic_set_has_a_note() -> None:
    images = synthetic_set(Keeps((None, 32, 32, 3)), Preprocessing((32, 32), (0.0, 1.0)), 4)
    assert images.name == "synthetic (batch-norm statistics of the source)"
    finding = synthetic_finding(images)
    assert (finding.check, finding.severity) == ("synthetic", "note")
    assert "4 calibration images are synthetic, generated from the model without any photo" in finding.text


def test_adjacent_pixels_of_the_initial_noise_are_correlated_like_those_of_photos() -> None:
    noise = first_noise(20, Preprocessing((32, 32), (0.0, 1.0)), seed=0)
    centred = noise - noise.mean(axis=(1, 2), keepdims=True)
    correlation = (centred[:, 1:] * centred[:, :-1]).mean() / (centred**2).mean()
    assert correlation > 0.6


def test_a_source_without_batch_normalizations_or_with_further_inputs_is_refused() -> None:
    preprocessing = Preprocessing((32, 32), (0.0, 1.0))
    without = Keeps((None, 32, 32, 3))
    without.norms = ()
    for source in (without, SimpleNamespace(path=Path("model.keras"), inputs=without.inputs)):
        with pytest.raises(OptionError, match=r"no batch normalizations.*pass --calibration FOLDER"):
            synthetic_set(source, preprocessing)
    two = Keeps((None, 32, 32, 3))
    two.inputs = (*two.inputs, TensorSpec("label", (None, 1), "float32"))
    with pytest.raises(OptionError, match="the model has further inputs"):
        synthetic_set(two, preprocessing)
