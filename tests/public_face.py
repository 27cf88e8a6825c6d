"""The classes, functions and attributes that a caller reaches from `edgevision.__all__`, by type hints."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

import edgevision

#: Methods by which a caller meets what an object holds, besides those without an underscore.
CALLED_UNDER_ANOTHER_NAME = {"__init__", "__call__", "__enter__", "__getitem__", "__iter__"}


@functools.cache
def names_for_type_checkers(module_name: str) -> dict[str, Any]:
    """The globals of a module, with what it imports and defines only ``if TYPE_CHECKING``."""
    module = importlib.import_module(module_name)
    names = dict(vars(module))
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom):
                    assert statement.module is not None
                    for alias in statement.names:
                        names[alias.asname or alias.name] = imported(statement.module, alias.name)
                else:
                    exec(compile(ast.Module([statement], []), module_name, "exec"), names)  # noqa: S102
    return names


def imported(module_name: str, name: str) -> Any:
    if module_name == "typing_extensions":  # need not be installed; any wrapper of one type will do
        return getattr(typing, name, typing.Optional)
    module = importlib.import_module(module_name)
    return getattr(module, name) if hasattr(module, name) else names_for_type_checkers(module_name)[name]


def hints_of(thing: Any) -> dict[str, Any]:
    return typing.get_type_hints(thing, localns=names_for_type_checkers(thing.__module__))


def own_classes(hint: Any) -> Iterator[type]:
    """The classes of EdgeVision in a type hint, however deep."""
    if isinstance(hint, list):  # the parameters of a Callable
        for part in hint:
            yield from own_classes(part)
    elif isinstance(hint, type) and hint.__module__.split(".")[0] == "edgevision":
        if not hint.__name__.startswith("_"):
            yield hint
    else:
        for part in typing.get_args(hint):
            yield from own_classes(part)


def public_hints(owner: type) -> Iterator[tuple[str, Any]]:
    """(where, hint) of each field, attribute, property and method that a caller of `owner` can reach."""
    for base in owner.__mro__:
        if base.__module__.split(".")[0] != "edgevision":
            continue
        for name, hint in hints_of(base).items():
            if not name.startswith("_"):
                yield f"{owner.__name__}.{name}", hint
        for name, member in vars(base).items():
            if name.startswith("_") and name not in CALLED_UNDER_ANOTHER_NAME:
                continue
            function = function_of(member)
            if function is None or function.__module__ != base.__module__:
                continue  # what a dataclass or NamedTuple writes repeats the fields
            for parameter, hint in hints_of(function).items():
                yield f"{owner.__name__}.{name}({parameter})", hint
            if name == "__init__":
                yield from (
                    (f"{owner.__name__}.{name}", hint) for name, hint in assigned(function, base.__module__)
                )


def function_of(member: Any) -> types.FunctionType | None:
    if isinstance(member, property):
        member = member.fget
    elif isinstance(member, (classmethod, staticmethod)):
        member = member.__func__
    elif isinstance(member, functools.cached_property):
        member = member.func
    member = inspect.unwrap(member) if callable(member) else None
    return member if isinstance(member, types.FunctionType) else None


def assigned(init: types.FunctionType, module: str) -> Iterator[tuple[str, Any]]:
    """Attributes that a constructor annotates where it sets them: ``self.inputs: tuple[…] = …``."""
    try:
        source = inspect.cleandoc("\n" + inspect.getsource(init))
    except OSError:  # written by dataclass
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            name = node.target.attr
            if not name.startswith("_"):
                names = names_for_type_checkers(module)
                yield name, eval(ast.unparse(node.annotation), names)  # noqa: S307


def exported_functions() -> dict[str, types.FunctionType]:
    things = {name: getattr(edgevision, name) for name in edgevision.__all__}
    return {name: thing for name, thing in things.items() if isinstance(thing, types.FunctionType)}


def exported_classes() -> dict[str, type]:
    things = {name: getattr(edgevision, name) for name in edgevision.__all__}
    # Python 3.10 takes Callable[…] for a class.
    classes = {name: thing for name, thing in things.items() if isinstance(thing, type)}
    return {name: thing for name, thing in classes.items() if typing.get_origin(thing) is None}


def classes_met() -> dict[type, str]:
    """Every class that a caller can reach from the exported names -> where it is met first."""
    met: dict[type, str] = {}
    for name, function in exported_functions().items():
        for parameter, hint in hints_of(function).items():
            for owner in own_classes(hint):
                met.setdefault(owner, f"{name}({parameter})")
    for name, owner in exported_classes().items():
        if owner.__module__.split(".")[0] == "edgevision":
            met.setdefault(owner, name)
    waiting = list(met)
    while waiting:
        for where, hint in public_hints(waiting.pop(0)):
            for owner in own_classes(hint):
                if owner not in met:
                    met[owner] = where
                    waiting.append(owner)
    return met
