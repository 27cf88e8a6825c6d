"""Plugins are found and checked: a broken one is recorded with its reason, and the others work on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgevision import hookimpl
from edgevision.backend import DeviceInfo
from edgevision.decoder import nms_applied
from edgevision.errors import DeviceError, MissingRuntimeError, PluginError
from edgevision.plugins import DISABLE_VARIABLE, Registry, discover, registry
from edgevision.plugins.shapes import MEMBERS, wrong_item
from edgevision.testing import FakeBackend

GOOD = """
import edgevision
from edgevision.testing import FakeBackend

@edgevision.hookimpl
def edgevision_backends():
    return [FakeBackend()]
"""


class Plugin:
    """A plugin whose hook is a function."""

    def __init__(self, backends: Callable[[], Any]) -> None:
        self._backends = backends

    @hookimpl
    def edgevision_backends(self) -> Any:
        return self._backends()


def named(name: str) -> FakeBackend:
    backend = FakeBackend()
    backend.name = name
    return backend


def registry_of(**plugins: Any) -> Registry:
    registry = discover([])
    for name, plugin in plugins.items():
        registry.register(plugin, name)
    return registry


def reasons(registry: Registry) -> dict[str, str]:
    return {problem.plugin: problem.reason for problem in registry.problems}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[EntryPoint]]:
    """Writes modules into a folder of sys.path, and returns their entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**sources: str) -> list[EntryPoint]:
        points = []
        for name, source in sources.items():
            module = f"plugin_of_{tmp_path.name}_{name}".replace("-", "_")
            (tmp_path / f"{module}.py").write_text(source)
            points.append(EntryPoint(name, module, "edgevision"))
        return points

    return write


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ImportError('half installed')", "ImportError: half installed"),
        ("raise OSError('libmissing.so: cannot open')", "OSError: libmissing.so: cannot open"),
        ("def :", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit('I want to leave')", "SystemExit: I want to leave"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
    ids=["absent module", "ImportError", "OSError", "SyntaxError", "SystemExit", "any error"],
)
def test_a_plugin_that_cannot_be_imported_is_recorded_and_the_others_work_on(
    modules: Callable[..., list[EntryPoint]], source: str, reason: str
) -> None:
    registry = discover(modules(a_broken=source, b_good=GOOD))
    assert reasons(registry)["a_broken"].startswith(reason)
    assert list(registry.backends()) == ["fake"]


def test_an_entry_point_without_its_module_is_recorded(modules: Callable[..., list[EntryPoint]]) -> None:
    registry = discover([EntryPoint("a_gone", "no_such_plugin_module", "edgevision"), *modules(good=GOOD)])
    assert "no_such_plugin_module" in reasons(registry)["a_gone"]
    assert list(registry.backends()) == ["fake"]


def raising(error: BaseException) -> Callable[[], Any]:
    def backends() -> Any:
        raise error

    return backends


def yielding_then_raising() -> Any:
    yield named("lost")
    raise RuntimeError("halfway")


@pytest.mark.parametrize(
    ("backends", "reason"),
    [
        (raising(RuntimeError("no luck")), "RuntimeError: no luck"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (yielding_then_raising, "RuntimeError: halfway"),
        (lambda: None, "TypeError: edgevision_backends returned NoneType, expected a list"),
        (lambda: "fake", "TypeError: edgevision_backends returned str, expected a list"),
        (lambda: 3, "TypeError: edgevision_backends returned int, expected a list"),
        (
            lambda: [object()],
            "edgevision_backends returned object without name, formats, options, version, devices",
        ),
        (
            lambda: [SimpleNamespace(name="x", formats=())],
            "edgevision_backends returned SimpleNamespace without opt",
        ),
        (lambda: [named(3)], "edgevision_backends returned FakeBackend with the name 3, expected text"),  # type: ignore[arg-type]
    ],
)
def test_a_hook_that_returns_something_else_is_recorded_and_the_others_work_on(
    backends: Callable[[], Any], reason: str
) -> None:
    registry = registry_of(broken=Plugin(backends), good=Plugin(lambda: [FakeBackend()]))
    assert list(registry.backends()) == ["fake"]
    assert reasons(registry)["broken"].startswith(reason)


@pytest.mark.parametrize("hook", MEMBERS)
def test_own_plugins_have_what_is_checked_of_others(hook: str) -> None:
    plugins = registry()
    own = [item for plugin, item in plugins._ask(hook) if plugins.provider_of(plugin).is_own]
    assert own or hook == "edgevision_commands"
    assert [wrong_item(hook, item) for item in own] == [""] * len(own)


def test_a_hook_that_edgevision_does_not_have_is_recorded_and_the_plugin_left_out() -> None:
    class Misspelt:
        @hookimpl
        def edgevision_backend(self) -> Any:
            return [FakeBackend()]

    registry = registry_of(misspelt=Misspelt(), good=Plugin(lambda: [FakeBackend()]))
    assert list(registry.backends()) == ["fake"]
    assert "unknown hook 'edgevision_backend'" in reasons(registry)["misspelt"]


def test_a_hook_that_asks_for_arguments_is_recorded_and_the_plugin_left_out() -> None:
    class Greedy:
        @hookimpl
        def edgevision_backends(self, config: Any) -> Any:
            return [FakeBackend()]

    registry = registry_of(greedy=Greedy(), good=Plugin(lambda: [FakeBackend()]))
    assert list(registry.backends()) == ["fake"]
    assert "config" in reasons(registry)["greedy"]


def test_of_two_backends_with_the_same_name_both_are_registered() -> None:
    first, second = FakeBackend(), FakeBackend()
    registry = registry_of(one=Plugin(lambda: [first]), two=Plugin(lambda: [second]))
    assert registry.backends() == {"fake": first, "two:fake": second}
    assert registry.backend("fake") == registry.backend("one:fake") == first
    assert registry.backend("two:fake") == second
    assert [registry.backend(name).name for name in ("fake", "two:fake")] == ["fake", "two:fake"]
    assert reasons(registry) == {"two": "'fake' means that of plugin 'one'; this one is 'two:fake'"}


def test_of_two_backends_with_the_same_name_the_one_whose_plugin_has_it_too_has_the_bare_name() -> None:
    first, named = FakeBackend(), FakeBackend()
    registry = registry_of(another=Plugin(lambda: [first]), fake=Plugin(lambda: [named]))
    assert registry.backend("fake") == named
    assert registry.backends() == {"fake": named, "another:fake": first}


def test_of_two_backends_that_a_plugin_provides_under_its_own_name_the_first_is_used() -> None:
    first, second = FakeBackend(), FakeBackend()
    registry = registry_of(fake=Plugin(lambda: [first, second, FakeBackend()]))
    assert registry.backend("fake") == first
    assert registry.backends() == {"fake": first, "fake:fake": second}
    assert "provides 'fake' twice; the first is used" in [one.reason for one in registry.problems]


def test_a_backend_is_found_without_asking_plugins_of_other_names() -> None:
    def fail() -> list[FakeBackend]:
        raise AssertionError("asked")

    backend = FakeBackend()
    registry = registry_of(another=Plugin(fail), fake=Plugin(lambda: [backend]))
    assert registry.backend("fake") == backend
    assert registry.problems == []


def test_a_problem_is_recorded_once_however_often_it_occurs() -> None:
    registry = registry_of(broken=Plugin(lambda: None))
    for _ in range(3):
        registry.backends()
    assert len(registry.problems) == 1


def test_an_unknown_backend_is_refused_with_the_available_and_the_broken_ones() -> None:
    registry = registry_of(good=Plugin(lambda: [FakeBackend()]), broken=Plugin(lambda: None))
    with pytest.raises(
        PluginError, match="no backend 'tpu'; available: fake; plugin 'broken' is broken: TypeError"
    ):
        registry.backend("tpu")
    with pytest.raises(PluginError, match="no backend 'fak'; did you mean 'fake'\\? available: fake"):
        registry.backend("fak")


@pytest.mark.parametrize(
    ("error", "version"),
    [
        (MissingRuntimeError("fake", "fake is not installed"), ""),
        (DeviceError("no device on this machine"), "fake 1"),
        (RuntimeError("surprise"), "fake 1"),
    ],
)
def test_a_backend_that_is_not_ready_is_a_row_with_the_reason(error: Exception, version: str) -> None:
    class Unready(FakeBackend):
        name = "unready"

        def version(self) -> str:
            if isinstance(error, MissingRuntimeError):
                raise error
            return super().version()

        def devices(self) -> list[DeviceInfo]:
            raise error

    rows = registry_of(a=Plugin(lambda: [Unready()]), b=Plugin(lambda: [FakeBackend()])).backend_statuses()
    assert [(row.name, row.ready, row.plugin) for row in rows] == [
        ("fake", True, "b"),
        ("unready", False, "a"),
    ]
    assert rows[1].version == version
    assert rows[1].reason.endswith(str(error))


def test_a_row_names_the_plugin_even_if_the_hook_creates_new_backends_each_time() -> None:
    rows = registry_of(maker=Plugin(lambda: [FakeBackend()])).backend_statuses()
    assert rows[0].plugin == "maker"


@pytest.mark.parametrize(
    ("disabled", "left"),
    [("", ["fake"]), ("good", []), (" other , good ", []), ("all", []), ("goo", ["fake"])],
)
def test_disabled_plugins_are_not_imported(
    modules: Callable[..., list[EntryPoint]], disabled: str, left: list[str]
) -> None:
    registry = discover(modules(good=GOOD), [name.strip() for name in disabled.split(",")])
    assert list(registry.backends()) == left
    told = [problem.reason for problem in registry.problems]
    unknown = set(filter(None, map(str.strip, disabled.split(",")))) - {"good", "all"}
    assert told == [f"names '{name}', and no plugin has that name{guess(name)}" for name in unknown]


def guess(name: str) -> str:
    return "; did you mean 'good'?" if name == "goo" else ""


@pytest.mark.parametrize(
    ("attributes", "applied"), [({}, False), ({"nms_applied": False}, False), ({"nms_applied": True}, True)]
)
def test_nms_applied_is_optional_for_a_decoder(attributes: dict[str, bool], applied: bool) -> None:
    decoder = SimpleNamespace(name="mine", recognise=lambda *_: None, prepare=lambda *_: None, **attributes)

    class Decoders:
        @hookimpl
        def edgevision_decoders(self) -> Any:
            return [decoder]

    registry = registry_of(mine=Decoders())
    assert registry.problems == []
    assert nms_applied(registry.decoder("mine")) is applied


def names_of_backends(disabled: str) -> list[str]:
    program = "from edgevision.plugins import registry; print(*sorted(registry().backends()))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, DISABLE_VARIABLE: disabled},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_environment_variable_disables_plugins() -> None:
    assert names_of_backends("") == ["cuda", "onnx", "openvino", "tflite"]
    assert names_of_backends("openvino, cuda") == ["onnx", "tflite"]
    assert names_of_backends("onnx") == ["cuda", "openvino", "tflite"]
    assert names_of_backends("all") == []


def test_listing_the_backends_imports_no_runtime() -> None:
    program = """
import sys
from edgevision.plugins import registry
registry().backends()
runtimes = {"openvino", "onnxruntime", "ai_edge_litert", "tflite_runtime", "tensorflow"}
print(*sorted(runtimes & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_plugin_that_was_taken_out_again_is_not_one_of_this_process() -> None:
    """A conversion runs in this process while a plugin is here alone: others lack it."""
    found = discover([])
    plugin = SimpleNamespace()
    assert not found.has_own
    found.register(plugin, "mine")
    assert found.has_own
    found.manager.unregister(plugin)
    assert not found.has_own
    found.manager.register(plugin, "by-pluggy")
    assert found.has_own
    assert found.provider_of("by-pluggy").distribution == ""
