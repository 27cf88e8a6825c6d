"""Significance tests, compared with scipy and on pure noise."""

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
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_images(
    only_first: int, only_second: int
) -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    expected = stats.binomtest(only_first, only_first + only_second).pvalue
    assert mcnemar(*_hits(only_first, only_second)) == pytest.approx(expected)


def test_identical_models_do_not_differ_in_any_test() -> None:
    same = np.arange(5.0)
    assert mcnemar(*_hits(0, 0)) == 1.0
    assert sign_flip(same, same) == 1.0
    assert paired_bootstrap(same, same) == 1.0


def test_with_few_images_all_sign_flips_are_enumerated() -> None:
    # Of the 8 signs of (1, 2, 3) two give a sum of 6 or more, or -6 or less.
    assert sign_flip(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == 2 / 8
    assert sign_flip(np.array([1.0, 2.0, -3.0]), np.zeros(3)) == 1.0


def test_with_many_images_the_p_value_agrees_with_scipys_permutation_test() -> None:
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
def test_every_test_detects_a_true_difference(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(1.0, 1.0, 200), random.normal(0.0, 1.0, 200)
    assert sign_flip(first, second) < 0.01
    samples = mean_of("a", first).samples, mean_of("b", second).samples
    assert paired_bootstrap(*samples) < 0.01


def test_noise_is_significant_in_at_most_one_case_in_twenty() -> None:
    random = np.random.default_rng(3)
    found = [sign_flip(random.normal(size=40), random.normal(size=40)) <= 0.05 for _ in range(100)]
    assert np.mean(found) <= 0.12
