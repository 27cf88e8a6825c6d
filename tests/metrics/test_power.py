"""The probability that a set shows a limit: exact, and the same as the verdicts on drawn sets."""

from __future__ import annotations

import numpy as np
import pytest

from edgevision.metrics.intervals import clopper_pearson, paired_drop
from edgevision.metrics.power import images_with_power, power_of_paired_drop, power_of_share

DRAWS = 2000


@pytest.mark.parametrize(
    ("images", "expected", "limit", "confidence"),
    [(200, 0.99, 0.95, 0.95), (59, 1.0, 0.95, 0.9), (1000, 0.97, 0.96, 0.95), (50, 0.8, 0.9, 0.95)],
)
def test_a_share_is_shown_as_often_as_in_drawn_sets(
    images: int, expected: float, limit: float, confidence: float
) -> None:
    hits = np.random.default_rng(0).binomial(images, expected, DRAWS)
    lows = {n: clopper_pearson(n, images, confidence=confidence).low for n in set(hits.tolist())}
    drawn = np.mean([lows[n] >= limit for n in hits.tolist()])
    power = power_of_share(images, expected, limit, confidence=confidence)
    assert power == pytest.approx(drawn, abs=0.035)


@pytest.mark.parametrize(
    ("images", "lost", "gained", "limit"),
    [(2000, 0.005, 0.005, 0.005), (800, 0.0, 0.0, 0.005), (700, 0.0, 0.0, 0.005), (500, 0.02, 0.01, 0.03)],
)
def test_a_drop_is_shown_as_often_as_in_drawn_sets(
    images: int, lost: float, gained: float, limit: float
) -> None:
    drawn = np.random.default_rng(0).multinomial(images, [lost, gained, 1 - lost - gained], DRAWS)
    counts = [(int(a), int(b)) for a, b, _ in drawn]
    highs = {pair: paired_drop(*pair, images).high for pair in set(counts)}
    shown = np.mean([highs[pair] <= limit for pair in counts])
    assert power_of_paired_drop(images, lost, gained, limit) == pytest.approx(shown, abs=0.035)


def test_wilks_59_positives_show_a_sensitivity_of_95_percent() -> None:
    """Wilks 1941: the fewest of which all must be hit."""
    assert images_with_power(lambda n: power_of_share(n, 1.0, 0.95, confidence=0.9), 0.8) == 59


def test_what_no_number_of_images_shows_has_no_number() -> None:
    assert images_with_power(lambda _: 0.0, 0.8) is None
