"""Values of the types that a dataclass declares: for what was made from a document of unknown origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from edgevision.system.shown import shown


def check_field_types(value: Any, where: str = "") -> None:
    """Check every field of a dataclass, and of those within it.

    An integer may stand for a real number, and a list for a tuple.

    Args:
        value: the object.
        where: its name, for errors.

    Raises:
        TypeError: names the first field that holds something else than it declares.
    """
    own: Any = type(value)
    for name, kind in _declared(own):
        _check(getattr(value, name), kind, f"{where}.{name}" if where else name)


@cache
def _declared(kind: Any) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in fields(kind))


def _check(value: object, kind: Any, where: str) -> None:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        _check_union(value, arguments, where)
    elif origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(value, "an object", where)
        for name, one in value.items():
            _check(name, arguments[0], where)
            _check(one, arguments[1], f"{where}.{name}")
    elif origin in (tuple, list, Sequence):
        _check_list(value, arguments, where)
    elif kind is not Any:
        _check_plain(value, kind, where)


def _check_union(value: object, kinds: Sequence[Any], where: str) -> None:
    # Of several classes, the one that it is of says what is wrong.
    # Python 3.10 takes dict[str, float] for a class, of which nothing can be.
    classes = [kind for kind in kinds if isinstance(kind, type) and get_origin(kind) is None]
    own = [kind for kind in classes if isinstance(value, kind)]
    others = [kind for kind in kinds if kind is not NoneType]
    _check(value, (own or others)[0], where)


def _check_list(value: object, kinds: Sequence[Any], where: str) -> None:
    if not isinstance(value, (tuple, list)):
        raise _wrong(value, "a list", where)
    of_any_length = len(kinds) == 1 or kinds[-1] is Ellipsis
    if not of_any_length and len(value) != len(kinds):
        raise _wrong(value, f"{len(kinds)} values", where)
    for place, one in enumerate(value):
        _check(one, kinds[0] if of_any_length else kinds[place], f"{where}[{place}]")


def _check_plain(value: object, kind: Any, where: str) -> None:
    allowed = (int, float) if kind is float else kind
    # To Python a bool is an int.
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(value, kind.__name__, where)
    if is_dataclass(kind):
        check_field_types(value, where)


def _wrong(value: object, expected: str, where: str) -> TypeError:
    return TypeError(f"{where}: expected {expected}, got {shown(value)}")
