"""Calibration errors: without their bias, with intervals that cover, beside a perfectly calibrated model."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from edgevision.metrics.calibration_texts import calibrated_error, calibration_error
from edgevision.metrics.classification import reliability
from edgevision.metrics.formatting import METHODS
from edgevision.metrics.reliability import Reliability, ReliabilityBin

#: Kind of model -> the true accuracy of its confidences.
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "calibrated": lambda p: p,
    "overconfident": lambda p: _logistic(_logit(p) / 1.8),
    "slightly overconfident": lambda p: _logistic(_logit(p) / 1.15),
    "shifted": lambda p: p - 0.15,
    "wrong at the top": lambda p: np.where(p > 0.93, p - 0.06, p),
}
SIZES = (50, 200, 1000, 5000)
DRAWS = 120


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _confidences(random: np.random.Generator, count: int) -> np.ndarray:
    one = _logistic(random.normal(1.5, 1.8, count))
    return np.maximum(one, 1 - one)


def _true_error(kind: str) -> float:
    p = _confidences(np.random.default_rng(9), 1_000_000)
    places = np.ceil(p * 15).astype(int) - 1
    sums = np.bincount(places, KINDS[kind](p) - p, 15)
    return float(np.abs(sums).sum() / len(p))


@lru_cache
def _drawn(kind: str, count: int) -> list[Reliability]:
    random = np.random.default_rng(count)
    found = []
    for _ in range(DRAWS):
        p = _confidences(random, count)
        found.append(Reliability.of(p.astype(np.float32), random.random(count) < KINDS[kind](p)))
    return found


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_covers_the_true_error(kind: str, count: int) -> None:
    true, found = _true_error(kind), _drawn(kind, count)
    covered = [one.interval.low - 1e-6 <= true <= one.interval.high + 1e-6 for one in found]
    # 95 % less two standard errors of so many draws.
    assert np.mean(covered) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / DRAWS)


@pytest.mark.parametrize("count", SIZES)
def test_a_calibrated_model_shows_the_error_that_is_stated_and_little_without_the_bias(count: int) -> None:
    found = _drawn("calibrated", count)
    shown = np.mean([one.ece for one in found])
    stated = np.mean([one.calibrated for one in found], axis=0)
    assert shown == pytest.approx(stated[0], rel=0.06)
    assert np.mean([one.ece > one.calibrated[1] for one in found]) <= 0.05 + 2 * np.sqrt(0.0475 / DRAWS)
    assert np.mean([one.debiased for one in found]) < 0.4 * shown
    assert np.mean([one.interval.low == 0 for one in found]) > 0.9
    bins = [b for one in found for b in one.bins if b.count]
    outside = [not b.low <= b.accuracy <= b.high for b in bins]
    assert np.mean(outside) <= 0.06


@pytest.mark.parametrize("kind", ["overconfident", "shifted"])
def test_the_error_of_a_model_that_is_not_calibrated_is_nearer_the_true_one_without_the_bias(kind) -> None:
    true, found = _true_error(kind), _drawn(kind, 200)
    plain, debiased = (np.mean([getattr(one, name) for one in found]) for name in ("ece", "debiased"))
    assert abs(debiased - true) < abs(plain - true) or abs(debiased - true) < 0.01
    assert np.mean([one.debiased for one in _drawn(kind, 5000)]) == pytest.approx(true, abs=0.003)
    assert all(one.interval.low > one.calibrated[1] for one in _drawn(kind, 5000))


def test_one_subtraction_of_the_bias_is_what_kumar_and_others_published() -> None:
    """Ours takes off at least as much, and never more than the whole error."""
    random = np.random.default_rng(2)
    p = _confidences(random, 400)
    correct = random.random(400) < p
    found = Reliability.of(p.astype(np.float32), correct)
    rows = [one for one in found.bins if one.count]
    counts, c, a = (np.array([getattr(one, n) for one in rows]) for n in ("count", "confidence", "accuracy"))
    normal = random.normal(a, np.sqrt(a * (1 - a) / counts), (20_000, len(rows)))
    published = 2 * found.ece - float((np.abs(normal - c) @ (counts / 400)).mean())
    assert 0 <= found.debiased <= published + 0.002 < found.ece


def test_predictions_of_one_group_are_no_more_than_one() -> None:
    random = np.random.default_rng(3)
    p = _confidences(random, 150)
    correct = random.random(150) < p
    once = Reliability.of(p.astype(np.float32), correct)
    copies = p.repeat(20).astype(np.float32), correct.repeat(20)
    grouped = Reliability.of(*copies, groups=np.arange(150).repeat(20))
    alone = Reliability.of(*copies)
    assert grouped.ece == once.ece == alone.ece
    assert alone.interval.low > 0, "copies would seem to show an error"
    assert grouped.interval.low == pytest.approx(once.interval.low, abs=0.02)
    assert grouped.calibrated[0] > 2 * alone.calibrated[0]


def test_independent_scores_of_one_image_belong_together() -> None:
    """All labels of an image are right or wrong together."""
    random = np.random.default_rng(4)
    scores = np.full((60, 30), 0.8, np.float32)
    true = np.repeat(random.random(60) < 0.8, 30).reshape(60, 30)
    found = reliability(scores, true, multi_label=True)
    apart = Reliability.of(scores.ravel(), true.ravel())
    assert found.interval.high - found.interval.low > 2 * (apart.interval.high - apart.interval.low)


def test_without_predictions_nothing_is_known() -> None:
    found = Reliability.of(np.zeros(0, np.float32), np.zeros(0, bool))
    assert (found.ece, found.debiased, found.interval, found.calibrated) == (0.0, None, None, None)
    assert (calibration_error(found), calibrated_error(found)) == ("0.00 %", "unknown")


@pytest.mark.parametrize(("confidence", "right"), [(1.0, True), (1.0, False), (0.0, True), (0.5, True)])
def test_a_single_prediction_has_limits_that_say_little(confidence: float, right: bool) -> None:
    found = Reliability.of(np.array([confidence], np.float32), np.array([right]))
    assert 0 <= found.interval.low <= found.debiased <= found.ece <= found.interval.high <= 1
    assert found.interval.high > 0.3


def test_errors_are_written_with_all_that_is_needed_to_read_them() -> None:
    random = np.random.default_rng(5)
    p = _confidences(random, 300)
    found = Reliability.of(p.astype(np.float32), random.random(300) < p)
    text = calibration_error(found)
    assert text.startswith(f"{100 * found.ece:.2f} % (debiased ")
    assert f"{100 * found.interval.high:.2f}" in text
    assert (
        calibrated_error(found)
        == f"{100 * found.calibrated[0]:.2f} %, up to {100 * found.calibrated[1]:.2f} %"
    )
    assert found.interval.method in METHODS
    assert calibration_error(Reliability(0.1, (ReliabilityBin(1, 0.9, 1.0),))) == "10.00 %"
