"""Temperature scaling makes scores match the accuracy, on sets whose answer is known by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from edgevision.evidence.temperatures import (
    ScaledScores,
    ScoreQuality,
    change_interval,
    fit_temperature,
    log_losses,
    scaled_scores,
    temperature_evidence,
)
from edgevision.metrics.intervals import Interval

FLOOR = float(np.finfo(np.float32).tiny)


def _alike(score: float, right: int, images: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Images that are all predicted class 0 with the same score, of which `right` are of that class."""
    rest = (1 - score) / (classes - 1)
    scores = np.tile(np.array([score] + [rest] * (classes - 1), np.float32), (images, 1))
    true = np.zeros((images, classes), bool)
    true[:right, 0] = true[right:, 1] = True
    return scores, true


@pytest.mark.parametrize(
    ("score", "right", "temperature"),
    [
        (0.9, 75, 2.0),  # log(9) / log(3): odds of nine to one become three to one
        (0.75, 90, 0.5),
        (0.9, 90, 1.0),
        (1 / (1 + 2**-8), 80, 4.0),  # odds of 256 become 4
    ],
)
def test_scores_become_the_share_of_correct_predictions(score: float, right: int, temperature: float) -> None:
    scores, true = _alike(score, right, 100)
    assert fit_temperature(scores, true, FLOOR, False) == pytest.approx(temperature, rel=1e-4)
    scaled = scaled_scores(scores, temperature, FLOOR, False)
    np.testing.assert_allclose(scaled[:, 0], right / 100, rtol=1e-4)


def test_independent_scores_are_scaled_one_by_one() -> None:
    scores = np.full((100, 3), 0.9, np.float32)
    true = np.zeros((100, 3), bool)
    true[:75] = True
    assert fit_temperature(scores, true, FLOOR, True) == pytest.approx(2.0, rel=1e-4)
    np.testing.assert_allclose(scaled_scores(scores, 2.0, FLOOR, True), 0.75, rtol=1e-5)


def test_the_fitted_temperature_is_the_best_one_on_scores_of_any_kind() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(400, 6)) * 5
    truth = (logits / 3 + random.gumbel(size=logits.shape)).argmax(axis=1)
    powers = np.exp(logits)
    scores = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    true = np.equal(truth[:, None], np.arange(6))
    found = fit_temperature(scores, true, FLOOR, False)
    assert found == pytest.approx(3.0, rel=0.15), "the labels were drawn at a temperature of 3"

    def nll(temperature: float) -> float:
        return ScoreQuality.of(scaled_scores(scores, temperature, FLOOR, False), true, FLOOR, False).nll

    assert nll(found) <= min(nll(found * 0.97), nll(found * 1.03), nll(1.0))


@pytest.mark.parametrize("right", [100, 50, 20], ids=["never wrong", "no better than chance", "worse"])
def test_without_an_optimum_in_range_there_is_no_temperature(right: int) -> None:
    scores, true = _alike(0.9, right, 100)
    assert fit_temperature(scores, true, FLOOR, False) is None


def test_log_loss_and_calibration_error_are_those_of_the_formulas() -> None:
    scores, true = _alike(0.9, 75, 100)
    before = ScoreQuality.of(scores, true, FLOOR, False)
    assert before.nll == pytest.approx(-(0.75 * math.log(0.9) + 0.25 * math.log(0.1)), abs=1e-6)
    assert before.reliability.ece == pytest.approx(0.15, abs=1e-6)
    after = ScoreQuality.of(scaled_scores(scores, 2.0, FLOOR, False), true, FLOOR, False)
    assert after.nll == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), abs=1e-6)
    assert after.reliability.ece == pytest.approx(0.0, abs=1e-6)


def test_a_score_of_zero_for_the_label_counts_as_half_a_step() -> None:
    scores, true = np.array([[1.0, 0.0]], np.float32), np.array([[False, True]])
    assert ScoreQuality.of(scores, true, 1 / 512, False).nll == pytest.approx(math.log(512), abs=1e-5)


def test_a_temperature_that_makes_the_scores_worse_on_the_evaluation_set_gets_a_warning() -> None:
    good, bad = (ScoreQuality.of(*_alike(score, 75, 100), FLOOR, False) for score in (0.75, 0.99))
    down, up = Interval(-0.9, -0.3, "bootstrap-t"), Interval(0.3, 0.9, "bootstrap-t")
    better, worse = ScaledScores(2.0, bad, good, down), ScaledScores(0.5, good, bad, up)
    assert temperature_evidence(better, better).warnings == ()
    (warning,) = temperature_evidence(better, worse).warnings
    assert "temperature scaling makes the scores worse on the evaluation set" in warning
    assert "(95 % interval of the change: +0.3000 to +0.9000)" in warning
    (warning,) = temperature_evidence(better, replace(worse, change=replace(up, low=-0.1))).warnings
    assert "temperature scaling seems to make the scores worse" in warning


@pytest.mark.parametrize("change", [None, Interval(-0.9, 0.0, "bootstrap-t")])
def test_an_improvement_that_the_images_do_not_show_gets_a_warning(change: Interval | None) -> None:
    good, bad = (ScoreQuality.of(*_alike(score, 75, 100), FLOOR, False) for score in (0.75, 0.99))
    unshown = ScaledScores(2.0, bad, good, change)
    (warning,) = temperature_evidence(unshown, unshown).warnings
    assert "does not show that temperature scaling improves the scores" in warning


@pytest.mark.parametrize("count", [100, 1000])
def test_the_interval_of_the_change_covers_the_change(count: int) -> None:
    """Overconfident scores at a temperature that is too high: a few large losses, many small ones."""
    random, covered, draws = np.random.default_rng(count), 0, 400

    def drawn(images: int) -> list[np.ndarray]:
        wins = 1 / (1 + np.exp(-random.normal(2.0, 1.5, images)))
        shown = np.stack([1 - wins**0.2, wins**0.2], axis=1).astype(np.float32)
        labels = random.random(images) < wins
        true = np.stack([~labels, labels], axis=1)
        scores = shown, scaled_scores(shown, 1.8, FLOOR, False)
        return [log_losses(one, true, FLOOR, False) for one in scores]

    before, after = drawn(1_000_000)
    true_change = float((after - before).mean())
    for _ in range(draws):
        found = change_interval(*drawn(count))
        covered += found is not None and found.low <= true_change <= found.high
    assert covered / draws >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / draws)


def test_images_of_one_group_are_resampled_together() -> None:
    random = np.random.default_rng(0)
    before, after = random.random(60), random.random(60)
    once = change_interval(before, after)
    copies = before.repeat(10), after.repeat(10)
    grouped, alone = change_interval(*copies, np.arange(60).repeat(10)), change_interval(*copies)
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high), abs=1e-6)
    assert alone.high - alone.low < 0.5 * (grouped.high - grouped.low)


def test_a_temperature_of_one_changes_nothing_and_has_no_interval() -> None:
    scores, true = _alike(0.9, 75, 100)
    losses = log_losses(scores, true, FLOOR, False)
    assert change_interval(losses, losses) is None


def test_independent_scores_have_one_loss_per_image() -> None:
    scores, true = np.array([[0.5, 0.25]], np.float32), np.array([[True, False]])
    (loss,) = log_losses(scores, true, FLOOR, True)
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2, abs=1e-6)
