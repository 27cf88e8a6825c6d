"""What a dataclass declares is what its fields hold, or an error names the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from edgevision.system.field_types import check_field_types


@dataclass(frozen=True)
class Inner:
    name: str


@dataclass(frozen=True)
class Other:
    number: int


@dataclass(frozen=True)
class Outer:
    count: int = 1
    share: float = 0.5
    done: bool = True
    text: str | None = None
    pair: tuple[str, float] = ("a", 1.0)
    rows: tuple[tuple[int, int], ...] = ((1, 2),)
    layers: Sequence[float] = (1.0,)
    scores: Mapping[str, float] | None = None
    part: Inner | Other | None = None
    anything: Any = None


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"share": 1},
        {"text": "x", "part": Other(1), "scores": {"a": 1}, "layers": [1, 2]},
        {"rows": (), "anything": object()},
        {"rows": [[1, 2]]},
    ],
)
def test_what_is_declared_passes(changed: dict[str, Any]) -> None:
    check_field_types(replace(Outer(), **changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"count": 1.5}, "count: expected int, got 1.5"),
        ({"count": True}, "count: expected int, got True"),
        ({"share": "1"}, "share: expected float, got '1'"),
        ({"share": True}, "share: expected float, got True"),
        ({"done": 1}, "done: expected bool, got 1"),
        ({"text": 5}, "text: expected str, got 5"),
        ({"count": None}, "count: expected int, got None"),
        ({"pair": ("a",)}, "pair: expected 2 values"),
        ({"pair": ("a", "b")}, r"pair\[1\]: expected float, got 'b'"),
        ({"pair": "ab"}, "pair: expected a list, got 'ab'"),
        ({"rows": ((1, 2), (3, [4]))}, r"rows\[1\]\[1\]: expected int"),
        ({"layers": {"a": 1}}, "layers: expected a list"),
        ({"scores": {"a": None}}, "scores.a: expected float, got None"),
        ({"scores": {1: 1.0}}, "scores: expected str, got 1"),
        ({"scores": [1]}, "scores: expected an object"),
        ({"part": {"name": 1}}, "part: expected Inner"),
        ({"part": Inner(1)}, "part.name: expected str, got 1"),  # type: ignore[arg-type]
        ({"part": Other("x")}, "part.number: expected int"),  # type: ignore[arg-type]
    ],
)
def test_anything_else_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        check_field_types(replace(Outer(), **changed))
