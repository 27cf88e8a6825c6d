"""The public face: every name that a caller meets can be imported from `edgevision`, with its type."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import edgevision
from public_face import classes_met, exported_classes, exported_functions, hints_of

#: Classes that are met but not exported -> why.
NOT_EXPORTED = {
    "edgevision.backend.Backend": "contract of a plugin: its public place is `edgevision.backend`",
    "edgevision.backend.DeviceInfo": "met only in a backend's `devices`; same place",
    "edgevision.backend.Session": "contract of a plugin; callers get a `CheckedSession`",
    "edgevision.backend.Slot": "contract of a plugin: what `lease` lends",
    "edgevision.imaging.decode.PILImage": "the part of `PIL.Image.Image` that an `ImageLike` needs",
    "edgevision.loading.load.LoadOptions": "the keyword arguments of `load`, for type checkers",
    "edgevision.decoder.Decoder": "contract of a plugin: its public place is `edgevision.decoder`",
    "edgevision.decoder.Head": "contract of a plugin",
    **dict.fromkeys(
        (f"edgevision.system.clock.{name}" for name in ("Clock", "Condition", "Running")),
        "time and threads, which tests replace by `edgevision.testing.SimulatedClock`",
    ),
    **dict.fromkeys(
        ("edgevision.tasks.base.TaskModel", "edgevision.tasks.description.Task"),
        "contract of a task: `edgevision.tasks.api` has what its author needs",
    ),
    "edgevision.decoder.Candidates": "contract of a plugin; callers get `Detections`",
    "edgevision.streaming.call_arguments.CallArguments": "a `Stream` is made of it by `model.stream`",
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
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "2\n"


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'edgevision' has no attribute 'laod'"):
        edgevision.laod  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'laod'"):
        from edgevision import laod  # type: ignore[attr-defined]  # noqa: F401


def test_loading_by_task_takes_the_arguments_of_load() -> None:
    """`LoadOptions` repeats them for type checkers."""
    parameters = inspect.signature(edgevision.load).parameters
    keyword_only = {name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}
    hints = hints_of(edgevision.load)
    options = hints_of(importlib.import_module("edgevision.loading.load").LoadOptions)
    assert options == {name: hints[name] for name in keyword_only}
    for load in (edgevision.load_classifier, edgevision.load_detector, edgevision.load_generator):
        own = inspect.signature(load).parameters
        positional = [own[name] for name in own if name != "options"]
        assert positional == [parameters[name] for name in parameters if name not in keyword_only]
