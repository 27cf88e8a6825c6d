"""Arguments as callers and numpy write them, normalized to Python's own types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.system.arguments import names, optional_path, paths, whole_number


@pytest.mark.parametrize("values", [["a", "b"], ("a", "b"), np.array(["a", "b"]), iter("ab")])
def test_names_come_from_any_sequence(values: Any) -> None:
    assert names(values, "targets") == ("a", "b")
    assert all(type(name) is str for name in names(np.array(["a"]), "targets"))


@pytest.mark.parametrize("values", [["a", Path("b")], (Path("a"), "b"), np.array(["a", "b"])])
def test_paths_come_from_any_sequence(values: Any) -> None:
    assert paths(values, "targets_files") == (Path("a"), Path("b"))


@pytest.mark.parametrize(
    ("function", "values", "message"),
    [
        (names, "cpu", r"targets: expected a sequence of names, got 'cpu'; pass \['cpu'\]"),
        (names, [1], "targets: expected a sequence of names, got 1 in it"),
        (names, 5, "targets: expected a sequence of names, got 5"),
        (names, None, "targets: expected a sequence of names, got None"),
        (paths, "a.toml", r"targets: expected a sequence of paths, got 'a.toml'; pass \['a.toml'\]"),
        (paths, Path("a.toml"), r"targets: expected a sequence of paths, got 'a.toml'; pass \['a.toml'\]"),
        (paths, [1], "targets: expected a sequence of paths, got 1 in it"),
    ],
)
def test_a_single_value_is_never_iterated(function: Any, values: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        function(values, "targets")


def test_a_path_may_be_missing() -> None:
    assert optional_path(None) is None
    assert optional_path("a") == optional_path(Path("a")) == Path("a")


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_are_those_of_python(value: Any) -> None:
    assert type(whole_number(value, "overlap", least=0)) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True, np.float32(2)])
def test_other_numbers_are_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="overlap: expected"):
        whole_number(value, "overlap", least=1)
