"""Exact binomial probabilities and limits, without an approximation and without SciPy: a device has none."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgevision.errors import OptionError
from edgevision.system.arguments import real_number

#: Halvings of the range 0…1, enough for the precision of a float.
_HALVINGS = 60
#: More trials than an evaluation set would have.
MOST_TRIALS = 1_000_000


def at_most(errors: int, trials: int, share: float) -> float:
    """The probability of at most `errors` in independent trials.

    Args:
        errors: -1 or more.
        trials: 0 or more.
        share: probability of an error in each trial, 0…1.
    """
    if errors < 0:
        return 0.0
    if errors >= trials or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    return float(min(1.0, np.exp(_log_probabilities(errors, trials, share)).sum()))


def most_errors(trials: int, share: float, confidence: float) -> int:
    """The most errors in `trials` that show, at a confidence, that their share is within a limit.

    With so many errors the upper limit of Clopper and Pearson (1934, Biometrika 26:404) is at most `share`.
    As a rank of ordered scores it is the tolerance limit of Wilks (1941, The Annals of Mathematical
    Statistics 12:91).

    Args:
        trials: 0 or more.
        share: the limit, above 0 and below 1.
        confidence: one-sided, above 0 and below 1.

    Returns:
        0 or more; -1 if even no error in so few trials would not show it.
    """
    risk = 1 - confidence
    low, high = -1, trials  # `low` errors show it, `high` do not
    while high - low > 1:
        middle = (low + high) // 2
        if at_most(middle, trials, share) <= risk:
            low = middle
        else:
            high = middle
    return low


def lower_limit(hits: int, trials: int, confidence: float) -> float:
    """The one-sided lower limit of a proportion by Clopper and Pearson (1934): exact for every sample size.

    The true proportion is below it in at most ``1 - confidence`` of all samples.

    Args:
        hits: 0 to `trials`.
        trials: 0 or more.
        confidence: above 0 and below 1.

    Returns:
        0…1; 0 without trials.
    """
    errors, risk = trials - hits, 1 - confidence
    low, high = 0.0, 1.0
    if hits == 0:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The probability of so few errors if `middle` were the true proportion of hits.
        if at_most(errors, trials, 1 - middle) <= risk:
            low = middle
        else:
            high = middle
    return low


def trials_needed(share: float, at_least: float, confidence: float) -> int | None:
    """Trials whose lower limit would keep a required proportion, if `share` of them are hits.

    Args:
        share: 0…1.
        at_least: the required proportion, above 0 and below 1.
        confidence: of the one-sided lower limit.

    Returns:
        `None` if no number would, or more than `MOST_TRIALS`.
    """

    def shows(trials: int) -> bool:
        return most_errors(trials, 1 - at_least, confidence) >= math.ceil((1 - share) * trials - 1e-9)

    high = 1
    while not shows(high):
        high *= 2
        if share <= at_least or high > MOST_TRIALS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def checked_confidence(value: object, name: str = "confidence") -> float:
    """A confidence as a float.

    Raises:
        OptionError: it is not a number from 0.5 to below 1.
    """
    confidence = real_number(value, name)
    if not 0.5 <= confidence < 1:
        raise OptionError(f"{name}: expected at least 0.5 and below 1, such as 0.95, got {confidence:g}")
    return confidence


def _log_probabilities(errors: int, trials: int, share: float) -> NDArray[np.float64]:
    """Logarithms of the probabilities of 0…errors errors; `share` is strictly between 0 and 1."""
    counts = np.arange(1, errors + 1, dtype=np.float64)
    odds = np.log(share) - np.log1p(-share)
    steps = np.log(trials - counts + 1) - np.log(counts) + odds
    logs: NDArray[np.float64] = trials * np.log1p(-share) + np.concatenate([[0.0], np.cumsum(steps)])
    return logs
