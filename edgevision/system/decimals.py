"""Numbers as text, with the digits it takes: rounding makes nothing perfect, zero or equal to a limit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal

#: Differences of two shares that are as small are those of floating point.
NOISE = 1e-12
#: The most decimals; they tell any share below 1 from 1.
_MOST_DIGITS = 17
_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)


def percent(share: float, digits: int = 2, against: Iterable[float] = (), sign: str = " %") -> str:
    """A share in percent, such as ``97.32 %``; ``100.00 %`` and ``0.00 %`` are exactly 1 and 0.

    Args:
        share: 0…1, or a difference of two shares.
        digits: the least number of decimals.
        against: other shares that are shown beside it: where they differ by more than `NOISE`, the texts do.
        sign: the percent sign.
    """
    others = [100 * _plain(other) for other in against if without_noise(other - share)]
    return decimals(100 * _plain(share), digits, [0, 100, *others]) + sign


def decimals(number: float | Decimal, digits: int, against: Iterable[float | Decimal] = ()) -> str:
    """A number with at least so many decimals, and more where rounding would make it equal to another one.

    Args:
        number: the number; ``-0.00`` has no sign.
        digits: the least number of decimals.
        against: numbers that it is told apart from, unless it is one of them.
    """
    value = Decimal(number)
    if not value.is_finite():
        return str(float(number))
    others = [one for one in map(Decimal, against) if one.is_finite() and one != value]
    for count in range(digits, _MOST_DIGITS + 1):
        rounded = _rounded(value, count)
        if all(rounded != _rounded(other, count) for other in others):
            return f"{rounded + 0:f}" if rounded else f"{Decimal(0):.{count}f}"
    return f"{value:.18g}"


def significant(number: float, digits: int, against: Iterable[float] = ()) -> str:
    """A number with so many significant digits, and more where it would look like another one.

    Args:
        number, against: as for `decimals`.
        digits: the least number of significant digits.
    """
    others = [other for other in against if other != number and math.isfinite(other)]
    for count in range(digits, 18):
        text = f"{number:.{count}g}"
        if all(text != f"{other:.{count}g}" for other in others):
            return text
    return repr(number)


def stated_digits(number: float, least: int) -> int:
    """Decimals of a number that a person stated, such as 3 for 0.503, without the error of floating point."""
    exponent = Decimal(f"{number:.10g}").normalize().as_tuple().exponent if math.isfinite(number) else 0
    return max(least, -exponent) if isinstance(exponent, int) else least


def without_noise(number: float) -> float:
    """A difference, 0 if it is no more than the error of floating point."""
    return 0.0 if abs(number) < NOISE else number


def _plain(number: float) -> Decimal:
    return Decimal(float(number))


def _rounded(value: Decimal, digits: int) -> Decimal:
    return _EXACT.quantize(value, Decimal(1).scaleb(-digits))
