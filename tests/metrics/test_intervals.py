"""Intervals of shares agree with the published formulas, and hold on sets without any change."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.metrics.intervals import clopper_pearson, paired_drop, proportion, share_by_image
from edgevision.metrics.measures import drop_interval, mean_of, share_of, significance


def _pairs(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 50), (7, 9), (4999, 5000), (263, 263)])
def test_the_interval_of_a_proportion_agrees_with_scipy(hits: int, count: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="comes with scikit-learn (extra `dev`)")
    for confidence in (0.9, 0.95, 0.99):
        expected = stats.binomtest(hits, count).proportion_ci(confidence, method="exact")
        found = clopper_pearson(hits, count, confidence=confidence)
        assert (found.low, found.high) == (
            pytest.approx(expected.low, abs=1e-6),
            pytest.approx(expected.high, abs=1e-6),
        )
        assert (found.method, found.confidence) == ("clopper-pearson", confidence)


def test_the_interval_of_shares_by_image_is_that_of_a_proportion_for_hits_and_misses() -> None:
    for hits in (0, 3, 95, 100):
        exact, found = clopper_pearson(hits, 100), share_by_image(np.arange(100) < hits)
        assert (found.low, found.high) == (
            pytest.approx(exact.low, abs=5e-4),
            pytest.approx(exact.high, abs=5e-4),
        )


def test_the_interval_of_shares_by_image_has_its_coverage_where_parts_depend_on_each_other() -> None:
    random = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(300):
        shares = random.beta(4.5, 0.5, 120)  # of each image, whose 20 parts are alike in this
        parts = random.binomial(20, shares)
        found = share_by_image(parts, np.full(120, 20))
        covered += found.low <= 0.9 <= found.high
        apart = clopper_pearson(int(parts.sum()), 120 * 20)
        naive += apart.low <= 0.9 <= apart.high
    assert covered >= 0.93 * 300
    assert naive < 0.8 * 300, "as if the parts were images of their own"


def test_more_agreement_never_lowers_the_interval() -> None:
    lows = [
        share_by_image(np.minimum(14, np.arange(50) + 14 - start), np.full(50, 14)).low
        for start in (4, 3, 2, 1, 0)
    ]
    assert lows == sorted(lows)
    assert len(set(lows)) == 5


def test_images_without_any_part_show_nothing() -> None:
    nothing = share_by_image(np.zeros(30), np.zeros(30))
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    assert (clopper_pearson(0, 0).low, clopper_pearson(0, 0).high) == (0.0, 1.0)
    assert (paired_drop(0, 0, 0).low, paired_drop(0, 0, 0).high) == (-1.0, 1.0)


def test_models_with_the_same_hits_have_the_interval_of_flips_that_were_not_seen() -> None:
    found = paired_drop(0, 0, 100)
    assert found.high == -found.low == pytest.approx(1 - 0.025 ** (1 / 100), rel=0.01)
    assert paired_drop(0, 0, 10_000).high < found.high / 90, "and less, the more images say so"


@pytest.mark.parametrize("count", [20, 300])
def test_the_interval_of_a_drop_excludes_0_where_mcnemars_test_does(count: int) -> None:
    for lost in range(12):
        for gained in range(9):
            metrics = [share_of("accuracy", one) for one in _pairs(0, lost, gained, count - lost - gained)]
            found = drop_interval(*metrics)
            test, p = significance(*metrics)
            assert (test, found.low <= 0 <= found.high) == ("mcnemar", p >= 0.05), (lost, gained)


def test_the_paired_interval_is_narrower_than_those_of_both_sides() -> None:
    first, second = _pairs(700, 30, 20, 250)
    apart = proportion(first).high - proportion(second).low
    found = drop_interval(share_of("accuracy", first), share_of("accuracy", second))
    assert found.high - found.low < apart
    assert found.low < 0.01 < found.high
    exact = paired_drop(30, 20, 1000)
    assert (found.low, found.high, found.method) == (exact.low, exact.high, "gaffke-paired")


def test_a_mean_is_bounded_by_what_one_more_image_could_add() -> None:
    # Gaffke 2005: the quantile of the mean with Dirichlet weights, drawn here, after the bound is added.
    random = np.random.default_rng(0)
    values = random.gamma(2.0, 1.0, 25)
    weights = random.exponential(size=(400_000, 26))
    drawn = [weights @ np.append(values, bound) / weights.sum(axis=1) for bound in (0.0, 30.0)]
    found = mean_of("PSNR", values, "dB", lowest=0.0, highest=30.0).interval
    assert (found.low, found.high) == (
        pytest.approx(np.quantile(drawn[0], 0.025), rel=0.01),
        pytest.approx(np.quantile(drawn[1], 0.975), rel=0.01),
    )


def test_a_loss_that_all_images_share_is_not_certain_for_others() -> None:
    noise = np.random.default_rng(0).normal(30.0, 5.0, 400)
    found = drop_interval(*(mean_of("PSNR", one, "dB", highest=100.0) for one in (noise, noise - 0.5)))
    assert found.low < 0.5 < found.high
    same = drop_interval(*(mean_of("PSNR", noise, "dB", highest=100.0) for _ in range(2)))
    assert same.low < 0.0 < same.high, "no spread among the images is no proof"


def test_an_image_that_only_one_model_gets_exactly_right_leaves_no_bound() -> None:
    values = np.array([30.0, 31.0, 35.0, np.inf])
    exact, other = mean_of("PSNR", values, "dB"), mean_of("PSNR", np.array([30.0, 31.0, 35.0, 60.0]), "dB")
    assert exact.value == pytest.approx(32.0)
    assert drop_interval(exact, other) is None
    assert drop_interval(exact, mean_of("PSNR", values - 1.0, "dB")).low < 1.0


def test_groups_are_the_trials() -> None:
    hits = np.repeat(np.arange(40) < 36, 25)
    groups = np.repeat(np.arange(40), 25)
    exact, found = clopper_pearson(36, 40), proportion(hits, groups=groups)
    assert (found.low, found.high) == (
        pytest.approx(exact.low, abs=2e-3),
        pytest.approx(exact.high, abs=2e-3),
    )
    assert found.method == "gaffke-groups"
    copies = [share_of("accuracy", hits, groups=groups) for _ in range(2)]
    assert drop_interval(*copies).high == pytest.approx(paired_drop(0, 0, 40).high, rel=1e-3)


def test_images_of_their_own_groups_are_independent() -> None:
    random = np.random.default_rng(1)
    first = random.random(200) < 0.9
    second = first ^ (random.random(200) < 0.05)
    apart = drop_interval(share_of("a", first), share_of("a", second))
    grouped = drop_interval(*(share_of("a", one, groups=random.permutation(200)) for one in (first, second)))
    assert (grouped.low, grouped.high) == (
        pytest.approx(apart.low, abs=1e-5),
        pytest.approx(apart.high, abs=1e-5),
    )


def test_one_group_shows_nothing() -> None:
    found = proportion(np.ones(500, bool), groups=np.zeros(500, np.intp))
    assert found.low < 0.03
