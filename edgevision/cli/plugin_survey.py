"""Looks at every plugin: what it provides, and what goes wrong when it is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from edgevision.errors import EdgeVisionError, PluginFailedError
from edgevision.observation import HOOKS
from edgevision.plugins import GROUP, Provider, Registry, registry
from edgevision.plugins.commands import import_command, plugin_commands
from edgevision.plugins.discovery import (
    HOOKS_WITH_GROUP,
    command_points,
    disabled_plugins,
    group_of,
    is_disabled,
)
from edgevision.plugins.door import Door, failure
from edgevision.plugins.provider import provider_of
from edgevision.plugins.trial import forget_faults, trial_of
from edgevision.system.entry_points import entry_points
from edgevision.target import load_targets
from edgevision.tasks.kind import NetworkFacts
from edgevision.tasks.options import TaskOptions
from edgevision.tensors import TensorSpec


@dataclass
class PluginRow:
    """A plugin, as ``edgevision plugins`` shows it.

    Attributes:
        plugin: name of the entry point.
        package, version: the distribution that provides it.
        interface: version of EdgeVision's interface that it states; `None` if it states none.
        import_seconds: how long its import took; `None` if it was not imported.
        provides: hook -> names of the items that it provides there.
        problems: what is wrong with it.
        disabled: whether ``EDGEVISION_DISABLE_PLUGINS`` leaves it out.
    """

    plugin: str
    package: str
    version: str
    interface: int | None = None
    import_seconds: float | None = None
    provides: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    disabled: bool = False


def survey(own_commands: Iterable[str]) -> list[PluginRow]:
    """A row for each plugin, EdgeVision's own first; a last one for a typo in ``EDGEVISION_DISABLE_PLUGINS``.

    Everything is imported and asked once, with inputs that nothing recognises.

    Args:
        own_commands: names of EdgeVision's own commands.
    """
    forget_faults()
    plugins = registry()
    provided = {hook: plugins.provided(hook) for hook in HOOKS_WITH_GROUP if hook != "edgevision_targets"}
    _ask(plugins)
    rows: dict[tuple[str, str], PluginRow] = {}
    for name, provider in plugins.providers.items():
        row = rows.setdefault(_key(name, provider), _row(provider))
        module = plugins.manager.get_plugin(name)
        row.interface = getattr(module, "edgevision_interface", None)
        row.import_seconds = plugins.import_seconds.get(provider)
        for hook, items in provided.items():
            row.provides |= {hook: names} if (names := [one for one, of in items if of == name]) else {}
        if targets := [Path(path).name for plugin, path in plugins.target_files() if plugin == name]:
            row.provides["edgevision_targets"] = targets
        for hook in HOOKS:
            implementations = getattr(plugins.manager.hook, hook).get_hookimpls()
            if any(one.plugin_name == name for one in implementations):
                row.provides[hook] = []
    for name, (provider, point) in plugin_commands(frozenset(own_commands)).items():
        row = rows.setdefault(_key(provider.entry_point, provider), _row(provider))
        row.provides.setdefault("edgevision_commands", []).append(name)
        try:
            if fault := trial_of(point, provider).fault:
                raise failure(provider, "import", fault)
            command = import_command(provider, point)
            with Door(provider, f"command '{name}': help"):
                command.get_help(click.Context(command))
        except PluginFailedError as error:
            row.problems.append(str(error))
    _add_disabled(rows)
    _add_problems(rows, plugins)
    return list(rows.values())


def _ask(plugins: Registry) -> None:
    """Ask each item something that none recognises, so that what fails is recorded."""
    outputs = [TensorSpec("no such output", (3, 5, 7, 11), "float32")]
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder, "nothing")
        nothing.write_bytes(b"")
        questions: list[tuple[str, Mapping[str, Any], Callable[[Any], Any]]] = [
            ("reads", plugins.readers(), lambda one: one.reads(nothing)),
            ("recognise", plugins.decoders(), lambda one: one.recognise(outputs, (64, 64))),
            ("recognise", plugins.tasks(), lambda one: one.recognise(_unknown_network(plugins))),
            ("recognises", plugins.frame_sources(), lambda one: one.recognises("nothing")),
            ("devices", plugins.backends(), _devices),
        ]
        for question, items, ask in questions:
            for _ in plugins.answers(items, ask, question):
                pass
    plugins.file_formats()
    load_targets(plugins=plugins)


def _unknown_network(plugins: Registry) -> NetworkFacts:
    outputs = (TensorSpec("no such output", (None, 3, 5, 7, 11), "float32"),)
    return NetworkFacts(outputs, (64, 64), TaskOptions(), plugins, "no network")


def _devices(backend: Any) -> None:
    """Raise what is a fault of the plugin; that this machine lacks its runtime or a device is none."""
    try:
        backend.version()
        backend.devices()
    except PluginFailedError:
        raise
    except EdgeVisionError:
        return


def _row(provider: Provider) -> PluginRow:
    return PluginRow(provider.entry_point, provider.distribution, provider.version)


def _key(name: str, provider: Provider) -> tuple[str, str]:
    return provider.distribution, provider.entry_point if provider.distribution else name


def _add_disabled(rows: dict[tuple[str, str], PluginRow]) -> None:
    disabled = disabled_plugins()
    groups = (GROUP, *map(group_of, HOOKS_WITH_GROUP))
    points = [point for group in groups for point in entry_points(group)]
    for provider in map(provider_of, [*points, *command_points()]):
        row = rows.setdefault(_key(provider.entry_point, provider), _row(provider))
        row.disabled = is_disabled(provider, disabled)


def _add_problems(rows: dict[tuple[str, str], PluginRow], plugins: Registry) -> None:
    by_name = {name: _key(name, provider) for name, provider in plugins.providers.items()}
    for problem in plugins.problems:
        key = by_name.get(problem.plugin)
        key = key or next((one for one in rows if one[1] == problem.plugin), None)
        if key is None:
            rows.setdefault(("", problem.plugin), PluginRow(problem.plugin, "", "")).problems.append(
                problem.reason
            )
        else:
            rows[key].problems.append(problem.reason)
