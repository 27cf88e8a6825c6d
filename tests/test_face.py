"""The public face: every name that a caller meets can be imported from `edgevision`, with its type."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgevision

#: Classes that are met but not exported -> why.
NOT_EXPORTED = {
    "edgevision.backend.Backend": "contract of a plugin: its public place is `edgevision.backend`",
    "edgevision.backend.DeviceInfo": "met only in a backend's `devices`; same place",
    "edgevision.backend.Session": "contract of a plugin; callers get a `CheckedSession`",
    "edgevision.backend.Slot": "contract of a plugin: what `lease` lends",
    "edgevision.loading.load.LoadOptions": "the keyword arguments of `load`, for type checkers",
    "edgevision.decoder.Decoder": "contract of a plugin: its public place is `edgevision.decoder`",
    "edgevision.decoder.Head": "contract of a plugin",
    "edgevision.decoder.Candidates": "contract of a plugin; callers get `Detections`",
}

PROMISED = [
    "BareModel",
    "Budget",
    "ClassScore",
    "Classification",
    "Classifier",
    "ConversionSettings",
    "EdgeVisionError",
    "InputOptions",
    "OperatingDemand",
    "RunSettings",
    "SessionSettings",
    "TaskOptions",
    "__version__",
    "bench",
    "compare",
    "convert",
    "evaluate",
    "hookimpl",
    "load",
    "open_session",
    "read_bundle",
    "tune",
    "write_report",
]

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
    return {name: thing for name, thing in things.items() if isinstance(thing, type)}


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


def test_every_class_that_a_caller_meets_is_exported() -> None:
    exported = set(exported_classes().values())
    missing = {
        f"{owner.__module__}.{owner.__qualname__}": where
        for owner, where in classes_met().items()
        if owner not in exported
    }
    assert {name: where for name, where in missing.items() if name not in NOT_EXPORTED} == {}
    assert set(NOT_EXPORTED) <= set(missing), "an exception that no longer is one"


def test_the_walk_reaches_what_only_attributes_methods_and_unions_name() -> None:
    names = {owner.__name__ for owner in classes_met()}
    assert {"TensorSpec", "Detection", "GeneratedImages", "LatentGenerator", "ReliabilityBin"} <= names


def test_the_names_that_third_parties_were_promised_are_still_exported() -> None:
    assert set(PROMISED) <= set(edgevision.__all__)
    assert edgevision.OperatingDemand is edgevision.OperatingPointSpecification


def test_names_for_type_checkers_lazy_names_and_dir_agree() -> None:
    tree = ast.parse(Path(edgevision.__file__).read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If)
        and "TYPE" in ast.unparse(node.test)
        and not isinstance(node.test, ast.UnaryOp)
    )
    static: dict[str, tuple[str, str]] = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            assert node.module is not None
            for alias in node.names:
                # Without the alias, mypy and pyright take the name for the module's own.
                assert alias.asname == alias.name, alias.name
                static[alias.name] = node.module, alias.name
        else:
            assert isinstance(node, ast.Assign)
            static[ast.unparse(node.targets[0])] = static[ast.unparse(node.value)]
    assert sorted(edgevision.__all__) == sorted(set(edgevision.__all__)) == sorted(static)
    assert sorted(dir(edgevision)) == sorted(static)
    for name, (module, attribute) in static.items():
        home = importlib.import_module(module)
        # A union such as `Model` is equal, but not the same object twice.
        expected = (
            importlib.import_module("edgevision.errors") if name == "errors" else getattr(home, attribute)
        )
        assert getattr(edgevision, name) == expected, name


def test_each_name_is_defined_where_it_is_imported_from() -> None:
    """An import by way of another module breaks when that module no longer needs it."""
    for name, thing in {**exported_classes(), **exported_functions()}.items():
        module = edgevision._MODULE_OF[name]
        assert thing.__module__ in (f"edgevision.{module}", "pluggy._hooks"), name


def test_errors_are_reached_without_an_import_of_their_module() -> None:
    code = "import edgevision; print(edgevision.errors.OptionError.exit_code)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'edgevision' has no attribute 'laod'"):
        edgevision.laod  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'laod'"):
        from edgevision import laod  # type: ignore[attr-defined]  # noqa: F401
