"""Calibration checks on real photos and networks: what is right gets no warning, what is wrong is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.calibration.checks import NOISE, check_images
from edgevision.calibration.coverage import CLIPPED, SAMPLE, measure_coverage
from edgevision.calibration.input_range import check_input_range
from edgevision.calibration.synthetic import synthetic_set
from edgevision.calibration.thumbnails import summarise
from edgevision.datasets.image_sets import ImageSet
from edgevision.imaging.levels import ValueMapping
from edgevision.imaging.preprocess import Preprocessing


@pytest.fixture(scope="module")
def training(shared: Path) -> ImageSet:
    return ImageSet.open(shared / "data" / "cifar10-train.zip").sample(2000)


@pytest.fixture(scope="module")
def test_images(shared: Path) -> ImageSet:
    return ImageSet.open(shared / "data" / "cifar10-test.zip")


@pytest.mark.parametrize("name", ["data/cifar10-test.zip", "data/bccd.zip", "images"])
def test_no_photo_is_taken_for_noise(shared: Path, name: str) -> None:
    seen = summarise(ImageSet.open(shared / name), ValueMapping())
    assert seen.broken == ()
    assert seen.correlations.min() > 1.5 * NOISE


def test_thousands_of_photos_pass_without_a_word(training: ImageSet, test_images: ImageSet) -> None:
    findings, kept = check_images(training, test_images)
    assert findings == ()
    assert len(kept) == len(test_images)


@pytest.fixture(scope="module")
def resnet8(shared: Path) -> Any:
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    from edgevision_keras.reading.reader import KerasReader

    path = shared / "models" / "resnet8_cifar10.h5"
    return KerasReader().read(path, trust_source=False, input_size_wh=None)


RIGHT = Preprocessing((32, 32), (0.0, 255.0))


@pytest.mark.convert
@pytest.mark.parametrize("seed", range(3))
def test_only_the_reading_of_the_training_gets_no_warning(
    resnet8: Any, training: ImageSet, seed: int
) -> None:
    images = training.sample(500, seed)
    assert check_input_range(resnet8, RIGHT, images) is None
    for wrong in ((0.0, 1.0), (-1.0, 1.0)):
        finding = check_input_range(resnet8, replace(RIGHT, value_range=wrong), images)
        assert finding is not None
        assert "--input-range=0..255" in finding.text


def _inputs(source: Any, images: ImageSet) -> list[dict[str, Any]]:
    (spec,) = source.inputs
    return [{spec.name: image[np.newaxis].astype(np.float32)} for image in images.sample(SAMPLE)]


@pytest.mark.convert
def test_photos_cover_photos_and_noise_goes_beyond(
    resnet8: Any, training: ImageSet, test_images: ImageSet
) -> None:
    calibration = _inputs(resnet8, training)
    like = measure_coverage(resnet8, calibration, _inputs(resnet8, test_images))
    assert like.worst[0].clipped < CLIPPED / 2
    noise = np.random.default_rng(0).integers(0, 256, (SAMPLE, 32, 32, 3), np.uint8)
    unlike = measure_coverage(resnet8, calibration, _inputs(resnet8, ImageSet.from_arrays(noise)))
    assert unlike.worst[0].clipped > 5 * CLIPPED


@pytest.mark.convert
def test_synthetic_images_cover_photos(resnet8: Any, test_images: ImageSet) -> None:
    made = synthetic_set(resnet8, RIGHT, 64)
    coverage = measure_coverage(resnet8, _inputs(resnet8, made), _inputs(resnet8, test_images))
    assert coverage.worst[0].clipped < 0.02
