"""Exact binomial probabilities and limits, compared with SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.metrics.binomial import at_most, checked_confidence, most_errors
from edgevision.metrics.intervals import clopper_pearson

TRIALS = (0, 1, 2, 20, 59, 200, 5000, 200_000)
SHARES = (0.001, 0.05, 0.1, 0.5, 0.9)


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("share", SHARES)
def test_probabilities_are_those_of_scipy(trials: int, share: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs the extra `dev`")
    for errors in {0, 1, int(trials * share / 2), int(trials * share), min(trials, int(trials * share) + 5)}:
        expected = float(stats.binom.cdf(errors, trials, share))
        assert at_most(errors, trials, share) == pytest.approx(expected, rel=1e-8, abs=1e-300)


@pytest.mark.parametrize("trials", [1, 28, 29, 58, 59, 93, 200, 5000])
@pytest.mark.parametrize("at_least", [0.5, 0.9, 0.95, 0.99])
def test_the_most_errors_are_the_last_whose_limit_keeps_the_share(trials: int, at_least: float) -> None:
    errors = most_errors(trials, 1 - at_least, 0.95)
    if errors >= 0:
        assert clopper_pearson(trials - errors, trials, confidence=0.9).low >= at_least - 1e-6
    assert clopper_pearson(max(0, trials - errors - 1), trials, confidence=0.9).low < at_least


def test_wilks_sample_sizes() -> None:
    """59 and 93 observations for 95 % of a population at a confidence of 95 %, with no and one error."""
    assert [most_errors(count, 0.05, 0.95) for count in (58, 59, 92, 93)] == [-1, 0, 0, 1]
    assert math.ceil(math.log(0.05) / math.log(0.95)) == 59


def test_borders() -> None:
    assert at_most(-1, 5, 0.5) == 0
    assert at_most(5, 5, 0.5) == 1
    assert at_most(2, 5, 0.0) == 1
    assert at_most(2, 5, 1.0) == 0
    assert most_errors(0, 0.1, 0.95) == -1


@pytest.mark.parametrize("value", [0.4, 1.0, 0.0, -1, float("nan"), "0.95", True, None])
def test_a_confidence_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match="confidence"):
        checked_confidence(value)
    assert checked_confidence(np.float32(0.5)) == 0.5
