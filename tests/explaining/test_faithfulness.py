"""Insertion and deletion, and how alike two maps are: on maps whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest
from test_attribution import PATCH, SIZE, runs_of

from edgevision.explaining.faithfulness import curves, rank_correlation, share_within, top_overlap


def _of_patch() -> np.ndarray:
    found = np.zeros((SIZE, SIZE))
    found[PATCH] = 1.0
    return found


def test_a_map_of_the_pixels_that_matter_beats_noise_and_its_own_opposite() -> None:
    random = np.random.default_rng(0).random((SIZE, SIZE))
    good, noise, bad = (curves(runs_of(), found) for found in (_of_patch(), random, -_of_patch()))
    assert good.insertion_area > noise.insertion_area > bad.insertion_area
    assert good.deletion_area < noise.deletion_area < bad.deletion_area


def test_curves_begin_and_end_with_the_hidden_and_the_whole_image() -> None:
    found = curves(runs_of(), _of_patch(), steps=10)
    assert found.shares.tolist() == pytest.approx(np.linspace(0, 1, 11).tolist())
    assert found.insertion[0] == found.deletion[-1]
    assert found.insertion[-1] == found.deletion[0]
    assert found.insertion[1] == found.insertion[-1], "a tenth of the pixels holds the whole patch"


def test_rank_correlation_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.integers(0, 9, (2, 8, 8)).astype(np.float32)  # with ties
        assert rank_correlation(one, other) == pytest.approx(stats.spearmanr(one, other, axis=None)[0])
    assert rank_correlation(one, np.zeros_like(one)) == 0


def test_the_top_tenths_of_two_maps_overlap_by_their_intersection_over_union() -> None:
    one = np.zeros((10, 10), np.float32)
    one[0] = 1
    half = np.zeros((10, 10), np.float32)
    half[0, :5] = half[1, :5] = 1
    assert top_overlap(one, one) == 1
    assert top_overlap(one, half) == pytest.approx(5 / 15)
    assert top_overlap(one, one[::-1]) == 0


def test_the_share_of_a_map_within_a_box() -> None:
    found = np.full((4, 4), -1.0, np.float32)
    found[1:3, 1:3] = 1
    assert share_within(found, (1, 1, 3, 3)) == 1
    assert share_within(found, (-5, -5, 2, 2)) == 0.25
    assert share_within(np.zeros((4, 4), np.float32), (0, 0, 4, 4)) == 0
