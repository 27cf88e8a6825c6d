"""The number of images that a plan names shows what is required, and one image less does not."""

from __future__ import annotations

import pytest

from edgevision.metrics.intervals import clopper_pearson, paired_drop
from edgevision.metrics.sample_size import (
    images_for_paired_drop,
    images_for_share,
    images_needed,
    positives_for_sensitivity,
)


def test_the_fewest_images_are_found_or_none_are_enough() -> None:
    assert images_needed(lambda images: 1 / images, 0.01, at_least=False) == 100
    assert images_needed(lambda images: 1 - 1 / images, 0.99, at_least=True) == 100
    assert images_needed(lambda images: 5.0, 6.0, at_least=False) == 1
    assert images_needed(lambda images: 1 + 1 / images, 1.0, at_least=False) is None


@pytest.mark.parametrize("limit", [0.9, 0.95, 0.999])
def test_a_share_without_misses_takes_the_images_of_the_exact_limit(limit: float) -> None:
    images = images_for_share(1.0, limit)
    assert clopper_pearson(images, images).low >= limit > clopper_pearson(images - 1, images - 1).low
    assert images_for_share(limit, limit) is None, "no number of images shows it"


def test_wilks_numbers_of_positives() -> None:
    # Wilks 1941: 59 without a miss show 95 % at a confidence of 95 %, 299 show 99 %.
    assert positives_for_sensitivity(1.0, 0.95) == 59
    assert positives_for_sensitivity(1.0, 0.99) == 299
    assert positives_for_sensitivity(0.94, 0.95) is None
    assert positives_for_sensitivity(0.97, 0.95) > 59


@pytest.mark.parametrize(
    ("lost", "gained", "limit"), [(0, 0, 0.005), (0.005, 0.005, 0.005), (0.01, 0.002, 0.02)]
)
def test_a_drop_takes_the_images_that_its_own_interval_takes(
    lost: float, gained: float, limit: float
) -> None:
    images = images_for_paired_drop(lost, gained, limit)
    highs = [paired_drop(lost * one, gained * one, one).high for one in (images, images - 1)]
    assert highs[0] <= limit < highs[1]
    assert images_for_paired_drop(0.02, 0.01, 0.01) is None
