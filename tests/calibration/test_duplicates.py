"""The search for near-duplicates agrees with a comparison of every pair."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.calibration.duplicates import nearest, repeated


def thumbnails(count: int, seed: int) -> np.ndarray:
    """A few scenes, each repeated with a little noise: some pairs are near-duplicates, some are not."""
    rng = np.random.default_rng(seed)
    scenes = rng.integers(20, 235, (12, 16, 16))
    moved = scenes[rng.integers(0, len(scenes), count)] + rng.normal(0, 2.2, (count, 16, 16))
    return moved.clip(0, 255).astype(np.uint8)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    apart = a[:, None].astype(np.float64) - b[None]
    return np.sqrt((apart**2).mean(axis=(2, 3)))


@pytest.mark.parametrize("limit", [2.0, 3.0, 4.0])
def test_the_nearest_image_is_the_nearest_of_all_pairs(limit: float) -> None:
    a, b = thumbnails(150, 1), thumbnails(90, 1)
    every = distances(a, b)
    found = nearest(a, b, limit)
    assert ((found >= 0) == (every.min(axis=1) <= limit)).all()
    assert every[np.arange(len(a)), found][found >= 0] == pytest.approx(every.min(axis=1)[found >= 0])


@pytest.mark.parametrize("count", [1, 2, 700])
def test_kept_images_are_not_near_each_other_and_all_others_are_near_a_kept_one(count: int) -> None:
    images = thumbnails(count, 2)
    near = repeated(images, 3.0)
    kept = np.flatnonzero(near < 0)
    among = distances(images[kept], images[kept]) + 1e9 * np.eye(len(kept))
    assert len(kept) == 1 or among.min() > 3.0
    others = np.flatnonzero(near >= 0)
    assert np.isin(near[others], kept).all()
    assert all(distances(images[[one]], images[[near[one]]]) <= 3.0 for one in others)


def test_a_repeated_image_is_kept_once() -> None:
    images = np.repeat(thumbnails(1, 3), 2000, axis=0)
    assert (repeated(images, 4.0) < 0).sum() == 1


def test_an_empty_set_has_no_near_duplicates() -> None:
    empty = np.empty((0, 16, 16), np.uint8)
    assert nearest(thumbnails(3, 4), empty, 4.0).tolist() == [-1, -1, -1]
    assert len(nearest(empty, thumbnails(3, 4), 4.0)) == len(repeated(empty, 4.0)) == 0
