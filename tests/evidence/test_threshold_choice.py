"""The choice of thresholds: by hand, and the guarantee by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.threshold_choice import effective_number, empirical_threshold, find_threshold

#: 0.9, 0.8, 0.7, 0.6 and 0.3 are positive; 0.5, 0.4, 0.2 and 0.1 are negative.
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], np.float32)
POSITIVE = np.array([1, 1, 1, 1, 0, 0, 1, 0, 0], bool)
METRICS = ("sensitivity", "specificity", "precision")


def _on_average(metric: str, at_least: float) -> OperatingPointSpecification:
    return OperatingPointSpecification("x", metric, at_least, None)


@pytest.mark.parametrize(
    ("metric", "at_least", "confidence", "threshold"),
    [
        # As if a sixth positive image had been missed: 4 of 6, and 5 of 6.
        ("sensitivity", 0.66, None, 0.55),
        ("sensitivity", 0.67, None, 0.25),
        ("sensitivity", 0.83, None, 0.25),
        ("sensitivity", 0.84, None, None),
        # The classes are separated better than required: a higher threshold gains nothing.
        ("sensitivity", 0.2, None, 0.55),
        # As if a fifth negative image had been predicted positive: 4 of 5, and 2 of 5.
        ("specificity", 0.8, None, 0.55),
        ("specificity", 0.81, None, None),
        ("specificity", 0.5, None, 0.55),
        ("specificity", 0.4, None, 0.25),
        # All of 5 show 0.54 at 0.95 (0.54 ** 5 = 0.046); one missed shows 0.34 (Clopper-Pearson).
        ("sensitivity", 0.54, 0.95, 0.25),
        ("sensitivity", 0.56, 0.95, None),
        ("sensitivity", 0.34, 0.95, 0.55),
        ("sensitivity", 0.35, 0.95, 0.25),
        # A lower confidence allows more.
        ("sensitivity", 0.62, 0.9, 0.25),
        # None of 4 negatives shows 0.47 (0.47 ** 4 = 0.049); two of 4 show 0.09.
        ("specificity", 0.47, 0.95, 0.55),
        ("specificity", 0.48, 0.95, None),
        ("specificity", 0.09, 0.95, 0.25),
        ("specificity", 0.1, 0.95, 0.55),
    ],
)
def test_the_threshold_meets_the_specification_at_the_lowest_cost(
    metric: str, at_least: float, confidence: float | None, threshold: float | None
) -> None:
    found = find_threshold(SCORES, POSITIVE, OperatingPointSpecification("x", metric, at_least, confidence))
    assert found == (None if threshold is None else pytest.approx(threshold))


@pytest.mark.parametrize(
    ("metric", "at_least", "threshold"),
    [
        ("sensitivity", 0.8, 0.55),
        ("sensitivity", 0.81, 0.25),
        ("specificity", 1 - 1e-9, 0.55),
        ("precision", 0.99, 0.55),
    ],
)
def test_the_empirical_threshold_has_the_required_value_on_these_images(
    metric: str, at_least: float, threshold: float
) -> None:
    specification = OperatingPointSpecification("x", metric, at_least)
    assert empirical_threshold(SCORES, POSITIVE, specification) == pytest.approx(threshold)


def test_the_order_of_the_images_does_not_matter() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(400) < 200
    scores, order = _drawn(random, positive, 3.0), random.permutation(400)
    for metric in METRICS:
        specification = OperatingPointSpecification("x", metric, 0.8)
        found = find_threshold(scores, positive, specification)
        assert found == find_threshold(scores[order], positive[order], specification)
        assert found is not None


def test_images_of_one_step_of_an_int8_score_stay_together() -> None:
    scores = np.array([0.5, 0.5, 0.25, 0.5, 0.25, 0.0], np.float32)
    positive = np.array([1, 1, 1, 0, 0, 0], bool)
    assert find_threshold(scores, positive, _on_average("sensitivity", 0.5)) == 0.375
    assert find_threshold(scores, positive, _on_average("sensitivity", 0.75)) == 0.125
    # Two of the three negatives have the same score as positives.
    assert find_threshold(scores, positive, _on_average("specificity", 0.6)) is None


def test_scores_that_are_all_equal_have_no_threshold() -> None:
    same, positive = np.full(900, 0.5, np.float32), np.tile(POSITIVE, 100)
    for metric in METRICS:
        assert find_threshold(same, positive, OperatingPointSpecification("x", metric, 0.1)) is None


def test_a_threshold_between_adjacent_float32_numbers_is_the_higher_one() -> None:
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    scores = np.array([high, high, low], np.float32)
    found = find_threshold(scores, np.array([1, 1, 0], bool), _on_average("sensitivity", 0.6))
    assert found == float(high)
    assert (scores >= found).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("at_least", "confidence", "images"),
    [
        *((0.95, None, 19), (0.9, None, 9), (0.5, None, 1), (0.99, None, 99), (0.66, None, 2)),
        *((0.95, 0.95, 59), (0.9, 0.95, 29), (0.99, 0.95, 299), (0.9, 0.99, 44), (0.5, 0.5, 1)),
    ],
)
@pytest.mark.parametrize("metric", METRICS[:2])
def test_the_fewest_images_that_can_show_a_required_value(
    metric: str, at_least: float, confidence: float | None, images: int
) -> None:
    specification = OperatingPointSpecification("x", metric, at_least, confidence)
    assert specification.least_images == images
    for count, found in ((images, True), (images - 1, False)):
        # Perfectly separated, and as few of the images that are counted as stated.
        positive = np.arange(200 + count) < (count if metric == "sensitivity" else 200)
        scores = np.where(positive, 0.8, 0.2).astype(np.float32)
        assert (find_threshold(scores, positive, specification) is not None) == found


@pytest.mark.parametrize("metric", METRICS[:2])
@pytest.mark.parametrize("images", [20, 60, 200])
@pytest.mark.parametrize("steps", [None, 256, 12], ids=["float", "int8", "twelve-levels"])
def test_the_true_metric_is_below_the_required_one_in_at_most_one_draw_of_twenty(
    metric: str, images: int, steps: int | None
) -> None:
    """The plain empirical threshold is below in a third to a half of the draws."""
    random, draws, at_least = np.random.default_rng(images), 1500, 0.85
    positive = np.arange(2 * images) < images
    specification = OperatingPointSpecification("x", metric, at_least)
    below = below_plainly = 0
    for _ in range(draws):
        scores = _drawn(random, positive, 2.0, steps)
        found = find_threshold(scores, positive, specification)
        below += found is not None and _true(found, steps)[metric] < at_least
        plain = empirical_threshold(scores, positive, specification)
        below_plainly += plain is not None and _true(plain, steps)[metric] < at_least
    assert below / draws <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws)
    if steps is None:
        assert below_plainly / draws > 0.25


@pytest.mark.parametrize("images", [400, 2000])
@pytest.mark.parametrize("steps", [None, 12], ids=["float", "twelve-levels"])
def test_the_true_precision_is_below_the_required_one_in_at_most_one_draw_of_twenty(
    images: int, steps: int | None
) -> None:
    random, draws, at_least = np.random.default_rng(images), 150, 0.8
    specification, below, found_any = OperatingPointSpecification("x", "precision", at_least), 0, 0
    for _ in range(draws):
        positive = random.random(images) < 0.4
        found = find_threshold(_drawn(random, positive, 2.0, steps), positive, specification)
        found_any += found is not None
        if found is not None:
            of = _true(found, steps)
            hits, false_alarms = 0.4 * of["sensitivity"], 0.6 * (1 - of["specificity"])
            below += hits / (hits + false_alarms) < at_least
    assert below / draws <= 0.05
    assert found_any / draws > 0.8


@pytest.mark.parametrize("metric", METRICS[:2])
def test_on_average_over_calibration_sets_new_images_meet_the_specification(metric: str) -> None:
    """The guarantee of conformal risk control, with classes that overlap; on many single sets it is less."""
    random, reached = np.random.default_rng(0), []
    positive, specification = np.arange(80) < 40, _on_average(metric, 0.9)
    for _ in range(600):
        threshold = find_threshold(_drawn(random, positive), positive, specification)
        assert threshold is not None
        reached.append(_true(threshold, None, 1.0)[metric])
    assert 0.9 <= np.mean(reached) < 0.94
    assert np.mean(np.array(reached) < 0.9) > 0.2


def test_images_of_one_group_count_as_one() -> None:
    """Twenty copies of each of 30 images are no more than these 30."""
    random = np.random.default_rng(4)
    positive = np.arange(60) < 30
    scores = _drawn(random, positive, 1.5)
    copies = scores.repeat(20), positive.repeat(20)
    groups = np.arange(60).repeat(20)
    for metric in METRICS[:2]:
        specification = OperatingPointSpecification("x", metric, 0.85)
        once = find_threshold(scores, positive, specification)
        assert find_threshold(*copies, specification, groups) == once
        assert find_threshold(*copies, specification) != once
    stricter = OperatingPointSpecification("x", "sensitivity", 0.95)
    assert find_threshold(*copies, stricter, groups) is None
    assert find_threshold(*copies, stricter) is not None


def test_groups_of_different_size_have_an_effective_number() -> None:
    all_of_them = np.ones(6, bool)
    assert effective_number(all_of_them, None) == 6
    assert effective_number(all_of_them, np.array([0, 0, 1, 1, 2, 2])) == 3
    assert effective_number(all_of_them, np.array([0, 0, 0, 0, 1, 2])) == 2  # 36 / 18
    assert effective_number(np.zeros(6, bool), np.arange(6)) == 0


def _drawn(
    random: np.random.Generator, positive: np.ndarray, distance: float = 1.0, steps: int | None = None
) -> np.ndarray:
    """Scores whose logits are normal, `distance` apart; rounded down to so many steps."""
    scores = 1 / (1 + np.exp(-random.normal(size=len(positive)) - distance * (positive - 0.5)))
    return (scores if steps is None else np.floor(scores * steps) / steps).astype(np.float32)


def _true(threshold: float, steps: int | None, distance: float = 2.0) -> dict[str, float]:
    """Sensitivity and specificity of a threshold on all images that `_drawn` could draw."""
    if steps is not None:
        threshold = math.ceil(threshold * steps - 1e-6) / steps
    inside = min(max(threshold, 1e-12), 1 - 1e-12)
    logit = math.log(inside) - math.log1p(-inside)
    above = [0.5 * math.erfc((logit - side * distance / 2) / math.sqrt(2)) for side in (1, -1)]
    return {"sensitivity": above[0], "specificity": 1 - above[1]}
