"""Whether two models differ by more than noise, held against scipy and against noise itself."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.metrics.measures import mean_of
from edgevision.metrics.paired_tests import mcnemar, paired_bootstrap, sign_flip


def _hits(only_first: int, only_second: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [10, only_first, only_second, 3]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 5), (5, 0), (3, 3), (12, 2), (80, 110), (900, 700)]
)
def test_mcnemar_is_the_exact_binomial_test_of_those_that_differ(only_first: int, only_second: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    expected = stats.binomtest(only_first, only_first + only_second).pvalue
    assert mcnemar(*_hits(only_first, only_second)) == pytest.approx(expected)


def test_models_that_do_the_same_are_told_apart_by_no_test() -> None:
    same = np.arange(5.0)
    assert mcnemar(*_hits(0, 0)) == 1.0
    assert sign_flip(same, same) == 1.0
    assert paired_bootstrap(same, same) == 1.0


def test_few_images_are_flipped_in_every_way() -> None:
    # Of the 8 signs of (1, 2, 3) two give a sum of 6 or more, or -6 or less.
    assert sign_flip(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == 2 / 8
    assert sign_flip(np.array([1.0, 2.0, -3.0]), np.zeros(3)) == 1.0


def test_many_images_give_what_scipys_permutation_test_gives() -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    random = np.random.default_rng(0)
    first = random.normal(0.2, 1.0, 60)
    expected = stats.permutation_test(
        (first, np.zeros(60)),
        lambda a, b: np.mean(a - b),
        permutation_type="samples",
        vectorized=False,
        n_resamples=4000,
        rng=1,
    ).pvalue
    assert sign_flip(first, np.zeros(60)) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_a_true_difference_is_seen_by_every_test(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(1.0, 1.0, 200), random.normal(0.0, 1.0, 200)
    assert sign_flip(first, second) < 0.01
    samples = mean_of("a", first).samples, mean_of("b", second).samples
    assert paired_bootstrap(*samples) < 0.01


def test_noise_alone_is_called_a_difference_no_more_often_than_one_time_in_twenty() -> None:
    random = np.random.default_rng(3)
    found = [sign_flip(random.normal(size=40), random.normal(size=40)) <= 0.05 for _ in range(100)]
    assert np.mean(found) <= 0.12
