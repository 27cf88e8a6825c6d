"""Significance tests, compared with scipy and on pure noise."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.metrics.bounded_means import limits_of_means
from edgevision.metrics.class_ratios import ClassCounts, RatioAverage, macro_metrics
from edgevision.metrics.measures import MetricValue, drop_intervals, mean_of, significance
from edgevision.metrics.paired_tests import mcnemar


def _hits(only_first: int, only_second: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [10, only_first, only_second, 3]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def _macro_f1(predicted: np.ndarray, true: np.ndarray) -> MetricValue:
    columns = predicted[:, None] == np.arange(3), true[:, None] == np.arange(3)
    average = RatioAverage("F1", *columns, ClassCounts.of(*columns), np.ones(3, bool))
    return MetricValue("macro F1", average.value, None, observations=average)


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
    assert mcnemar(*_hits(0, 0)) == 1.0
    same = mean_of("PSNR", np.arange(5.0), "dB")
    assert significance(same, same) == ("gaffke", 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_a_true_difference_of_means_is_detected(seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = random.normal(31.0, 1.0, 400), random.normal(30.0, 1.0, 400)
    assert significance(mean_of("a", first), mean_of("b", second))[1] < 0.01


def test_noise_is_significant_in_at_most_one_case_in_twenty_on_a_handful_of_images() -> None:
    random = np.random.default_rng(3)
    found = []
    for images in (5, 12, 40) * 60:
        true = random.integers(0, 3, images)
        pair = [np.where(random.random(images) < 0.7, true, random.integers(0, 3, images)) for _ in range(2)]
        found.append(significance(*(_macro_f1(one, true) for one in pair))[1] < 0.05)
        values = [mean_of("SSIM", random.beta(9, 1, images)) for _ in range(2)]
        found.append(significance(*values)[1] < 0.05)
    assert np.mean(found) <= 0.05


def test_the_p_value_is_below_5_percent_where_the_interval_excludes_0() -> None:
    random = np.random.default_rng(4)
    seen = set()
    for share in np.linspace(0.0, 0.3, 40):
        true = random.integers(0, 3, 300)
        kept = np.where(random.random(300) < share, (true + 1) % 3, true)
        first, second = _macro_f1(true, true), _macro_f1(kept, true)
        (interval,) = drop_intervals([(first, second)])
        significant = significance(first, second)[1] < 0.05
        assert significant == (not interval.low <= 0 <= interval.high)
        seen.add(significant)
    assert seen == {True, False}


def test_nothing_is_bounded_without_images_that_count() -> None:
    never = np.zeros((4, 1), bool)
    columns = never, ~never
    precision = macro_metrics(*columns, ClassCounts.of(*columns), np.ones(columns[0].shape[1], bool), None)[0]
    assert precision.interval is None
    assert limits_of_means([]) == []
