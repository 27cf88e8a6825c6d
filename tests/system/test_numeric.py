"""Numbers of numpy become Python's, and a bool is never a number."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from edgevision.system.numeric import is_real, is_share, is_whole, plain, plain_fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.array(3), 3),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (Fraction(1, 2), 0.5),
        (np.True_, True),
        (True, True),
        (None, None),
        ("rgb", "rgb"),
        (np.str_("rgb"), "rgb"),
        (np.zeros((2, 2)), [[0.0, 0.0], [0.0, 0.0]]),
        ([np.int8(1), (np.float32(2), "x")], [1, (2.0, "x")]),
        ({"a": np.arange(2), np.int64(1): {"b": np.True_}}, {"a": [0, 1], 1: {"b": True}}),
    ],
)
def test_values_become_pythons_own(value: Any, expected: Any) -> None:
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)
    json.dumps(result)


@dataclass(frozen=True)
class Settings:
    size: tuple[int, ...]
    share: float

    def __post_init__(self) -> None:
        plain_fields(self, "size", "share")


@pytest.mark.parametrize("size", [(2, 3), [2, 3], np.array([2, 3], np.int16), (np.int64(2), np.uint8(3))])
def test_fields_of_a_dataclass_become_tuples_and_numbers(size: Any) -> None:
    settings = Settings(size, np.float32(0.25))  # type: ignore[arg-type]
    assert settings == Settings((2, 3), 0.25)
    assert hash(settings) == hash(Settings((2, 3), 0.25))
    assert [type(number) for number in settings.size] == [int, int]


@pytest.mark.parametrize(
    ("value", "whole", "real", "share"),
    [
        (1, True, True, True),
        (np.int64(0), True, True, True),
        (np.uint8(7), True, True, False),
        (-1, False, True, False),
        (0.5, False, True, True),
        (np.float32(1), False, True, True),
        (np.float64(2.0), False, True, False),
        (float("nan"), False, False, False),
        (np.float32("inf"), False, False, False),
        (True, False, False, False),
        (np.True_, False, False, False),
        ("1", False, False, False),
        (None, False, False, False),
        (1j, False, False, False),
        (np.arange(2), False, False, False),
    ],
)
def test_what_is_a_number(value: object, whole: bool, real: bool, share: bool) -> None:
    assert (is_whole(value), is_real(value), is_share(value)) == (whole, real, share)


def test_reading_settings_needs_no_numpy() -> None:
    code = "import sys, edgevision.system.numeric as n; n.plain([1]); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
