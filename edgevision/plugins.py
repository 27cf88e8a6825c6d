"""How plugins are found, vetted, and reported when broken.

pluggy's own loader stops at the first plugin that fails to import, and one call of a hook stops
at the first implementation that raises. A robot must not lose its camera to a stranger's typo: so
the entry points are walked here, each plugin is imported on its own and asked on its own, and
what fails is kept as a row with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import pluggy

from edgevision import hookspecs
from edgevision.errors import PluginError, first_line
from edgevision.system.entry_points import EntryPoint, entry_points

if TYPE_CHECKING:
    import click

    from edgevision.backend import Backend, DeviceInfo
    from edgevision.converter import Converter, SourceReader
    from edgevision.decoder import Decoder

GROUP = "edgevision"
DISABLE_VARIABLE = "EDGEVISION_DISABLE_PLUGINS"

_BACKEND_MEMBERS = ("name", "formats", "options", "version", "devices", "open")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=_Named)


class Problem(NamedTuple):
    """A plugin, or something that it offers, which cannot be used.

    Attributes:
        plugin: name of its entry point.
        reason: what went wrong, in one line.
    """

    plugin: str
    reason: str


class BackendStatus(NamedTuple):
    """One row of ``edgevision backends``.

    Attributes:
        name: the backend's name.
        plugin: the entry point that it came from.
        ready: whether it can open a model here.
        version: of its runtime; empty where that is not installed.
        devices: what it can run on here, its default first.
        reason: why it is not ready, and what to type.
    """

    name: str
    plugin: str
    ready: bool
    version: str = ""
    devices: tuple[DeviceInfo, ...] = ()
    reason: str = ""


class Registry:
    """The plugins of this process, and what each one gives.

    Attributes:
        problems: everything that was found to be broken, in the order in which it was found.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.manager = manager
        self.problems: list[Problem] = []

    def register(self, plugin: Any, name: str) -> None:
        """Take in a plugin: a module or object with hook implementations.

        What is wrong with it is recorded in `problems`, and the plugin left out.
        """
        try:
            self.manager.register(plugin, name=name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            # pluggy says what is wrong in the last of several lines.
            self._record(name, f"{type(error).__name__}: {' '.join(str(error).split())}")

    def backends(self) -> dict[str, Backend]:
        """Backend name -> backend, whether its runtime is installed or not."""
        return self._named("edgevision_backends", _BACKEND_MEMBERS)

    def backend(self, name: str) -> Backend:
        """The backend called `name`.

        Raises:
            PluginError: there is none; lists those that there are.
        """
        own = self._owned("edgevision_backends", _BACKEND_MEMBERS, only=name)
        if name in own:
            return own[name][1]  # type: ignore[no-any-return]
        return self._pick("backend", name, self.backends())

    def readers(self) -> dict[str, SourceReader]:
        """Reader name -> reader of trained models."""
        return self._named("edgevision_readers", ("name", "reads", "read"))

    def converters(self) -> dict[str, Converter]:
        """Converter name -> converter."""
        return self._named("edgevision_converters", ("name", "kind", "format", "precisions", "convert"))

    def decoders(self) -> dict[str, Decoder]:
        """Decoder name -> decoder of a detection network's outputs."""
        return self._named("edgevision_decoders", ("name", "recognise", "prepare"))

    def decoder(self, name: str) -> Decoder:
        """The decoder called `name`.

        Raises:
            PluginError: there is none; lists those that there are.
        """
        return self._pick("decoder", name, self.decoders())

    def target_files(self) -> list[tuple[str, Any]]:
        """(plugin, path of a TOML file with device profiles)."""
        return self._ask("edgevision_targets")

    def commands(self) -> dict[str, click.Command]:
        """Command name -> click command that a plugin adds."""
        return self._named("edgevision_commands", ("name", "main"))

    def backend_statuses(self) -> list[BackendStatus]:
        """Every backend: ready with its version and devices, or why not and what to type."""
        owned = self._owned("edgevision_backends", _BACKEND_MEMBERS)
        return [_status(backend, plugin) for _, (plugin, backend) in sorted(owned.items())]

    def _pick(self, kind: str, name: str, found: dict[str, NamedT]) -> NamedT:
        if name not in found:
            broken = "".join(f"; plugin '{p.plugin}' is broken: {p.reason}" for p in self.problems)
            raise PluginError(f"no {kind} '{name}'; there are: {', '.join(sorted(found)) or 'none'}{broken}")
        return found[name]

    def _named(self, hook: str, members: tuple[str, ...]) -> dict[str, Any]:
        return {name: item for name, (_, item) in self._owned(hook, members).items()}

    def _owned(
        self, hook: str, members: tuple[str, ...], only: str | None = None
    ) -> dict[str, tuple[str, Any]]:
        """Name -> (plugin, what it gives), vetted.

        Of two with one name that stays whose plugin has the name too, so that it can be had by asking
        that plugin alone; else the first.

        Args:
            hook: what plugins are asked.
            members: that each item must have.
            only: the one plugin to ask, and to import what it needs; all, if `None`.
        """
        found: dict[str, tuple[str, Any]] = {}
        for plugin, item in self._ask(hook, only):
            missing = [member for member in members if not hasattr(item, member)]
            if missing:
                self._record(plugin, f"{hook} gave {type(item).__name__} without {', '.join(missing)}")
            elif not isinstance(item.name, str):
                self._record(
                    plugin, f"{hook} gave {type(item).__name__} whose name is {item.name!r}, not text"
                )
            elif item.name not in found:
                found[item.name] = plugin, item
            else:
                stays, goes = found[item.name][0], plugin
                if plugin == item.name != stays:
                    found[item.name] = plugin, item
                    stays, goes = goes, stays
                self._record(goes, f"'{item.name}' is already given by plugin '{stays}', which stays")
        return found

    def _ask(self, hook: str, only: str | None = None) -> list[tuple[str, Any]]:
        """What each plugin gives for `hook`, asked one at a time, in the order of registration."""
        items: list[tuple[str, Any]] = []
        order = [name for name, _ in self.manager.list_name_plugin()]
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        for found in sorted(implementations, key=lambda found: order.index(found.plugin_name)):
            if only not in (None, found.plugin_name):
                continue
            try:
                # Called itself, and not by pluggy, which drops a plugin that gives None in silence.
                items += [(found.plugin_name, item) for item in _listed(found.function(), hook)]
            except (Exception, SystemExit) as error:
                self._record(found.plugin_name, error)
        return items

    def _record(self, plugin: str, error: BaseException | str) -> None:
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {first_line(error)}"
        problem = Problem(plugin, reason)
        if problem not in self.problems:
            self.problems.append(problem)


def discover(points: Iterable[EntryPoint], disabled: Iterable[str] = ()) -> Registry:
    """Import each plugin on its own, record what fails, and go on.

    Args:
        points: entry points, walked in the order of their names.
        disabled: names of those to leave out; ``all`` leaves out every one.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    registry = Registry(manager)
    left_out = set(disabled)
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        if point.name in left_out or "all" in left_out:
            continue
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:
            registry._record(point.name, error)
            continue
        registry.register(plugin, point.name)
    return registry


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The plugins that are installed, less those that ``EDGEVISION_DISABLE_PLUGINS`` names.

    The variable holds names of entry points with commas between them, or ``all``.
    """
    disabled = [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")]
    return discover(entry_points(GROUP), disabled)


def _listed(given: Any, hook: str) -> list[Any]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{hook} returned {type(given).__name__}, expected a list")
    return list(given)


def _status(backend: Backend, plugin: str) -> BackendStatus:
    version = ""
    try:
        version = backend.version()
        devices = tuple(backend.devices())
    except (Exception, SystemExit) as error:
        return BackendStatus(backend.name, plugin, ready=False, version=version, reason=first_line(error))
    return BackendStatus(backend.name, plugin, ready=True, version=version, devices=devices)
