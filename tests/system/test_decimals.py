"""Numbers as text: rounding makes nothing perfect, zero, or equal to what it is shown beside."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgevision.system.decimals import NOISE, decimals, percent, significant, stated_digits

SHARES = st.floats(0.0, 1.0)
NUMBERS = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100.00 %"),
        (4999 / 5000, "99.98 %"),
        (99_999 / 100_000, "99.999 %"),
        (1 - 1e-12, "99.9999999999 %"),
        (1 / 50_000, "0.002 %"),
        (0.0, "0.00 %"),
        (-0.0, "0.00 %"),
        (0.97321, "97.32 %"),
        (0.5, "50.00 %"),
    ],
    ids=str,
)
def test_a_share_is_perfect_or_zero_only_if_it_is(share: float, text: str) -> None:
    assert percent(share) == text


@given(SHARES)
@example(1 - 2**-53)
@example(5e-324)
def test_a_share_below_1_is_never_100_percent_and_one_above_0_never_0(share: float) -> None:
    text = percent(share)
    number = float(text.removesuffix(" %"))
    assert (number == 100.0) == (share == 1.0)
    assert (number == 0.0) == (share == 0.0)
    assert number == pytest.approx(100 * share, abs=0.0051)


@given(SHARES, SHARES)
@example(0.5, 0.5000000000000001)
@example(0.95, 0.9499999)
def test_a_share_beside_another_one_is_told_apart(share: float, other: float) -> None:
    alike = percent(share, against=[other]) == percent(other, against=[share])
    if abs(share - other) > NOISE:
        assert not alike
        low, high = sorted((share, other))
        shown = [
            float(percent(one, against=[two]).removesuffix(" %")) for one, two in ((low, high), (high, low))
        ]
        assert shown[0] < shown[1]


@given(NUMBERS, NUMBERS, st.integers(0, 4))
def test_numbers_beside_each_other_are_told_apart(number: float, other: float, digits: int) -> None:
    if number != other:
        assert decimals(number, digits, [other]) != decimals(other, digits, [number])
        assert significant(number, 4, [other]) != significant(other, 4, [number])


@given(NUMBERS)
def test_no_zero_has_a_sign(number: float) -> None:
    text = decimals(number, 2)
    assert float(text) != 0 or not text.startswith("-")


@pytest.mark.parametrize(
    ("number", "digits"),
    [(0.5, 2), (0.503, 3), (100 * 0.00503, 3), (100 * (0.7 / 100), 2), (95.0, 2), (99.995, 3)],
)
def test_a_limit_has_the_digits_that_were_stated(number: float, digits: int) -> None:
    assert stated_digits(number, 2) == digits


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_written_as_python_does(number: float) -> None:
    assert decimals(number, 2, [0]) == str(number)
