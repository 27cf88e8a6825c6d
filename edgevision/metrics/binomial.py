"""Exact binomial probabilities, and the errors that a limit allows, without SciPy: a device has none."""

from __future__ import annotations

from edgevision.errors import OptionError
from edgevision.metrics.quantiles import beta_share_below
from edgevision.system.arguments import real_number


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
    return beta_share_below(1 - share, trials - errors, errors + 1)


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


def checked_confidence(value: object, name: str = "confidence") -> float:
    """A confidence as a float.

    Raises:
        OptionError: it is not a number from 0.5 to below 1.
    """
    confidence = real_number(value, name)
    if not 0.5 <= confidence < 1:
        raise OptionError(f"{name}: expected at least 0.5 and below 1, such as 0.95, got {confidence:g}")
    return confidence
