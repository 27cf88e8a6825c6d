"""Intervals agree with the published formulas and have the promised coverage."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.metrics.intervals import (
    newcombe,
    percentile,
    resampled_sums,
    resamples,
    share_by_image,
    wilson,
)
from edgevision.metrics.measures import drop_interval, mean_of, share_of


def _pairs(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 50), (7, 9), (4999, 5000), (263, 263)])
def test_the_interval_of_a_proportion_agrees_with_scipy(hits: int, count: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
    found = wilson(hits, count)
    assert (found.low, found.high) == (
        pytest.approx(expected.low, abs=1e-6),
        pytest.approx(expected.high, abs=1e-6),
    )
    assert found.method == "wilson"


def test_the_interval_of_shares_by_image_agrees_with_the_formula_of_agresti_and_coull() -> None:
    # Agresti and Coull 1998: n + z^2 trials, of which hits + z^2 / 2 are hits. For 95 of 100:
    z2 = 1.959963984540054**2
    share = (95 + z2 / 2) / (100 + z2)
    half = (z2 * share * (1 - share) / (100 + z2)) ** 0.5
    found = share_by_image(np.arange(100) < 95)
    assert (found.low, found.high) == (
        pytest.approx(share - half, abs=1e-6),
        pytest.approx(share + half, abs=1e-6),
    )


def test_the_interval_of_shares_by_image_has_its_coverage_where_parts_depend_on_each_other() -> None:
    random = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(400):
        shares = random.beta(4.5, 0.5, 120)  # of each image, whose 20 parts are alike in this
        parts = random.binomial(20, shares)
        found = share_by_image(parts, np.full(120, 20))
        covered += found.low <= 0.9 <= found.high
        apart = wilson(int(parts.sum()), 120 * 20)
        naive += apart.low <= 0.9 <= apart.high
    assert covered >= 0.93 * 400
    assert naive < 0.8 * 400, "as if the parts were images of their own"


def test_more_agreement_never_lowers_the_interval() -> None:
    lows = [
        share_by_image(np.minimum(14, np.arange(50) + 14 - start), np.full(50, 14)).low
        for start in (4, 3, 2, 1, 0)
    ]
    assert lows == sorted(lows)
    assert len(set(lows)) == 5


def test_images_without_any_part_agree_that_there_is_none() -> None:
    nothing = share_by_image(np.zeros(30), np.zeros(30))
    assert nothing == share_by_image(np.ones(30))
    assert 0.8 < nothing.low < nothing.high == 1.0


def test_without_trials_the_interval_is_everything() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_the_interval_of_a_difference_agrees_with_newcombes_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:2635, table II, first column, method 10.
    found = newcombe(*_pairs(36, 12, 2, 0))
    assert (found.low, found.high) == (pytest.approx(0.0569, abs=5e-5), pytest.approx(0.3404, abs=5e-5))


def test_models_with_the_same_hits_have_an_interval_wider_than_zero() -> None:
    found = newcombe(*_pairs(75, 0, 0, 25))
    assert found.low < 0.0 < found.high < 0.05
    assert newcombe(*_pairs(7500, 0, 0, 2500)).high < found.high / 50, "and less, the more images say so"


def test_the_paired_interval_is_narrower_than_those_of_both_sides() -> None:
    first, second = _pairs(700, 30, 20, 250)
    apart = wilson(int(first.sum()), 1000).high - wilson(int(second.sum()), 1000).low
    found = drop_interval(share_of("accuracy", first), share_of("accuracy", second))
    assert found.high - found.low < apart
    assert found.low < 0.01 < found.high


def test_the_same_number_of_images_has_the_same_resamples() -> None:
    first = resamples(200).copy()
    resamples(100)
    np.testing.assert_array_equal(resamples(200), first)
    assert set(first.sum(axis=1)) == {200}
    with pytest.raises(ValueError, match="read-only"):
        resamples(200)[0, 0] = 1


def test_the_bootstrap_interval_of_a_mean_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    values = np.random.default_rng(0).gamma(2.0, 1.0, 300)
    expected = stats.bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    found = mean_of("PSNR", values, "dB").interval
    width = expected.high - expected.low
    assert (found.low, found.high) == (
        pytest.approx(expected.low, abs=0.07 * width),
        pytest.approx(expected.high, abs=0.07 * width),
    )
    np.testing.assert_allclose(
        resampled_sums(np.stack([values, -values], axis=1)).sum(axis=1), 0.0, atol=1e-9
    )


def test_the_drop_in_a_mean_is_resampled_in_pairs() -> None:
    noise = np.random.default_rng(0).normal(30.0, 5.0, 400)
    found = drop_interval(mean_of("PSNR", noise, "dB"), mean_of("PSNR", noise - 0.5, "dB"))
    assert (found.low, found.high, found.method) == (pytest.approx(0.5), pytest.approx(0.5), "bootstrap")


def test_nan_of_a_resample_is_left_out() -> None:
    assert percentile(np.array([np.nan, 0.5, 0.5])).low == 0.5
    assert percentile(np.array([np.nan])).high == 0.0


def test_95_percent_of_the_intervals_cover_the_true_value() -> None:
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        first = random.random(300) < 0.8
        second = np.where(random.random(300) < 0.1, random.random(300) < 0.8, first)
        found = newcombe(first, second)
        held += found.low <= 0.0 <= found.high
    assert 0.92 <= held / 400 <= 0.99
