"""Masks: random ones in pairs, and windows that slide over the whole image."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from edgevision.explaining.masks import random_masks, sliding_masks

SIZES = [(32, 32), (7, 50), (224, 160), (1, 1), (3, 2)]


@pytest.mark.parametrize("size_hw", SIZES)
def test_each_mask_is_followed_by_its_complement(size_hw: tuple[int, int]) -> None:
    masks = list(islice(random_masks(size_hw, 8, 0), 200))
    assert all(mask.shape == size_hw and mask.dtype == np.float32 for mask in masks)
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in masks)
    for mask, complement in zip(masks[::2], masks[1::2], strict=True):
        np.testing.assert_allclose(mask + complement, 1.0, atol=1e-6)
    assert not np.array_equal(masks[0], masks[2]) or size_hw == (1, 1)


def test_masks_depend_on_the_seed_alone() -> None:
    one, again, other = (list(islice(random_masks((20, 30), 5, seed), 4)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_neighbouring_pixels_are_hidden_together_and_distant_ones_are_not() -> None:
    masks = np.array(list(islice(random_masks((64, 64), 8, 0), 2000))).reshape(2000, 64, 64)
    near, far = (np.corrcoef(masks[:, 30, 30], masks[:, 30, 30 + step])[0, 1] for step in (1, 24))
    assert near > 0.9
    assert abs(far) < 0.1


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("most", [9, 100, 1000])
def test_windows_cover_every_pixel_within_their_number(size_hw: tuple[int, int], most: int) -> None:
    masks = sliding_masks(size_hw, 8, most)
    assert 0 < len(masks) <= most
    assert np.min(masks, axis=0).max() == 0, "a pixel that no window hides"
    if min(size_hw) > 8 and most == 1000:
        assert all(0 < mask.mean() < 1 for mask in masks)
