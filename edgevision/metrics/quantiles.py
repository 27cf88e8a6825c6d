"""Quantiles of the beta distribution, which numpy lacks and a device has no scipy for."""

from __future__ import annotations

import math
from functools import lru_cache

#: Terms of the continued fraction; it converges in about the root of the larger parameter.
_MOST_TERMS = 5000
_TINY = 1e-300


@lru_cache(maxsize=4096)
def beta_quantile(share: float, first: float, second: float) -> float:
    """The value that a beta-distributed variable stays below with the probability `share`, 0…1.

    Args:
        share: probability, 0…1.
        first, second: parameters of the distribution, above 0.
    """
    low, high, value = 0.0, 1.0, first / (first + second)
    log_scale = math.lgamma(first + second) - math.lgamma(first) - math.lgamma(second)
    for _ in range(200):
        excess = beta_share_below(value, first, second) - share
        low, high = (value, high) if excess < 0 else (low, value)
        if excess == 0 or high - low <= 1e-15 * high:
            break
        # Newton's step, as long as it stays within the bracket.
        log_density = log_scale + (first - 1) * math.log(value) + (second - 1) * math.log1p(-value)
        moved = value - excess * math.exp(-log_density) if -700 < log_density < 700 else -1.0
        if not low < moved < high:
            moved = (low + high) / 2
        if moved in (low, high) or abs(moved - value) <= 1e-15 * value:
            break
        value = moved
    return value


def beta_share_below(value: float, first: float, second: float) -> float:
    """The regularized incomplete beta function, by Lentz's continued fraction (Press et al. 2007, 6.4).

    Args:
        value: 0…1.
        first, second: parameters of the distribution, above 0.
    """
    if value <= 0.0 or value >= 1.0:
        return float(value >= 1.0)
    if value > (first + 1) / (first + second + 2):  # where the fraction of the other tail converges faster
        return 1.0 - beta_share_below(1.0 - value, second, first)
    log_front = (
        math.lgamma(first + second)
        - math.lgamma(first)
        - math.lgamma(second)
        + first * math.log(value)
        + second * math.log1p(-value)
    )
    c, d = 1.0, 1.0 / _away_from_zero(1 - (first + second) * value / (first + 1))
    fraction = d
    for m in range(1, _MOST_TERMS):
        even = m * (second - m) * value / ((first + 2 * m - 1) * (first + 2 * m))
        odd = -(first + m) * (first + second + m) * value / ((first + 2 * m) * (first + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return math.exp(log_front) * fraction / first


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
