"""Arguments as callers and numpy write them, normalized to Python's own types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.system.arguments import flag, names, one_path, optional_path, paths, whole_number


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
    assert optional_path(None, "labels") is None
    assert optional_path("a", "labels") == optional_path(Path("a"), "labels") == Path("a")


@pytest.mark.parametrize("value", ["a b/ä ☃", Path(), "no/such", np.str_("a"), "\udcff", "a" * 255])
def test_a_path_may_lead_nowhere(value: Any) -> None:
    assert one_path(value, "labels") == Path(value)
    one_path(value, "labels").is_dir()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "labels: expected a str or Path, got 5"),
        (b"a", "labels: expected a str or Path, got b'a'"),
        (["a"], r"labels: expected a str or Path, got \['a'\]"),
        ("http://u:hidden@h/labels", r"labels: expected a path, got the address http://h/labels \("),
        ("", "labels: expected a path, got an empty string"),
        ("a\0b", "labels: 'a.*b' cannot be a path: .*embedded null"),
        ("\ud800", "labels: .* cannot be a path"),
        ("a" * 5000, "labels: 'aaa.* cannot be a path: File name too long"),
        ("a/" * 5000, "labels: 'a/a.* cannot be a path: File name too long"),
    ],
)
def test_what_is_no_path_is_refused(value: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        one_path(value, "labels")


def test_a_path_object_of_bytes_is_refused() -> None:
    class Bytes:
        def __fspath__(self) -> bytes:
            return b"a"

    with pytest.raises(OptionError, match="labels: expected a str or Path, got"):
        one_path(Bytes(), "labels")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True, False, np.bool_(True), np.array(False)])
def test_flags_are_those_of_python(value: Any) -> None:
    assert flag(value, "tune") is bool(value)


@pytest.mark.parametrize("value", ["no", 0, 1, None, np.array([True]), 0.0])
def test_what_is_no_flag_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="tune: expected True or False, got"):
        flag(value, "tune")


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_are_those_of_python(value: Any) -> None:
    assert type(whole_number(value, "overlap", least=0)) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True, np.float32(2)])
def test_other_numbers_are_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="overlap: expected"):
        whole_number(value, "overlap", least=1)
