"""Find plugins, check what they provide, and record the broken ones.

pluggy's own loader stops at the first plugin that fails to import, and a call of a hook stops at the
first implementation that raises. A robot must not lose its camera to a typo in someone else's plugin.
So the entry points are walked here: each plugin is imported and asked on its own, and a failure is
recorded with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import pluggy

from edgevision import hookspecs
from edgevision.artifact import STANDARD_FORMATS, FileFormat
from edgevision.errors import DeviceError, EdgeVisionError, PluginError, first_line
from edgevision.observation import HOOKS, Listener, observers
from edgevision.system.entry_points import EntryPoint, entry_points
from edgevision.system.shown import shown

if TYPE_CHECKING:
    import click

    from edgevision.backend import Backend, DeviceInfo
    from edgevision.converter import Converter, SourceReader
    from edgevision.decoder import Decoder
    from edgevision.export_format import ExportFormat
    from edgevision.frame_source import FrameSource
    from edgevision.tracker import TrackerKind

GROUP = "edgevision"
DISABLE_VARIABLE = "EDGEVISION_DISABLE_PLUGINS"

_TASK_MEMBERS = (
    *("name", "noun", "activity", "verb", "ranks_classes", "takes_images", "description", "schema"),
    *("texts", "options", "recognise", "model", "lines", "draw", "evaluation"),
)
_BACKEND_MEMBERS = ("name", "formats", "options", "version", "devices", "open")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=_Named)


class Problem(NamedTuple):
    """A plugin, or an item that it provides, which cannot be used.

    Attributes:
        plugin: name of its entry point.
        reason: the failure, in one line.
    """

    plugin: str
    reason: str


class BackendStatus(NamedTuple):
    """One row of ``edgevision backends``.

    Attributes:
        name: name of the backend.
        plugin: name of the entry point that provides it.
        ready: whether it can open a model on this machine.
        version: version of its runtime; empty if that is not installed.
        devices: devices of this machine that it can run on, its default first.
        reason: why it is not ready, and the next step.
    """

    name: str
    plugin: str
    ready: bool
    version: str = ""
    devices: tuple[DeviceInfo, ...] = ()
    reason: str = ""


class Registry:
    """The plugins of this process, and what each of them provides.

    Attributes:
        problems: all failures so far, in the order of their discovery.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.manager = manager
        self.problems: list[Problem] = []
        self._installed: set[str] = set()

    @property
    def has_own(self) -> bool:
        """True if a plugin is registered in this process only, and not installed: other processes lack it."""
        return any(name not in self._installed for name, _ in self.manager.list_name_plugin())

    def register(self, plugin: Any, name: str) -> None:
        """Register a plugin: a module or object with hook implementations.

        An invalid one is recorded in `problems` and left out.
        """
        try:
            self.manager.register(plugin, name=name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            # pluggy's reason is in the last of several lines.
            self._record(name, f"{type(error).__name__}: {' '.join(str(error).split())}")

    def observers(self) -> dict[str, list[Listener]]:
        """Hook of observers -> its implementations, in the order of registration."""
        order = [name for name, _ in self.manager.list_name_plugin()]
        return {
            hook: [
                Listener(one.plugin_name, one.function, one.argnames)
                for one in sorted(
                    getattr(self.manager.hook, hook).get_hookimpls(),
                    key=lambda each: order.index(each.plugin_name),
                )
            ]
            for hook in HOOKS
        }

    def backends(self) -> dict[str, Backend]:
        """Backend name -> backend, whether its runtime is installed or not."""
        return self._items("edgevision_backends", _BACKEND_MEMBERS)

    def backends_owning(self, artifact_format: str, runner: Backend | None = None) -> Iterator[Backend]:
        """The backends whose own format this is, which read and write what its files say of themselves.

        Args:
            artifact_format: such as ``tflite``.
            runner: a backend to begin with, if it is one of them; the others are loaded only after it.
        """
        if runner is not None and artifact_format in runner.formats[:1]:
            yield runner
        for backend in self.backends().values():
            if artifact_format in backend.formats[:1]:
                yield backend

    def file_formats(self, backend: str | None = None) -> tuple[FileFormat, ...]:
        """How artifacts come as files, for each format that a backend loads.

        Args:
            backend: name of the only backend that counts; `None` for all.

        Raises:
            PluginError: there is no such backend.
        """
        backends = self.backends() if backend is None else {backend: self.backend(backend)}
        # Those of a backend's own format first: it knows its files best.
        declared = [
            (place, form)
            for name, each in sorted(backends.items())
            for place, form in enumerate(self._formats_of(name, each))
        ]
        by_name: dict[str, FileFormat] = {}
        for _, form in sorted(declared, key=lambda pair: pair[0]):
            by_name.setdefault(form.name, form)
        return tuple(by_name.values())

    def _formats_of(self, name: str, backend: Backend) -> list[FileFormat]:
        """The file formats of one backend, in the order of its formats."""
        standard = {form.name: form for form in STANDARD_FORMATS}
        try:
            declared = {form.name: form for form in getattr(backend, "file_formats", ())}
            if not all(isinstance(form, FileFormat) for form in declared.values()):
                raise TypeError(f"file_formats: expected objects of class FileFormat, got {declared}")
            known = {**standard, **declared}
            return [known.get(form) or FileFormat(form, (f".{form}",)) for form in backend.formats]
        except Exception as error:  # of a third party's plugin: the others go on without it
            self._record(name, error)
            return []

    def backend(self, name: str) -> Backend:
        """The backend called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        name = str(name)  # whatever it is, the error names it
        own = self._items_with_plugin("edgevision_backends", _BACKEND_MEMBERS, only=name)
        if name in own:
            return own[name][1]  # type: ignore[no-any-return]
        return self._pick("backend", name, self.backends())

    def available_backend(self, name: str, device: str | None = None) -> Backend:
        """The backend called `name`, if this machine has its runtime and the device.

        Raises:
            PluginError: there is no such backend.
            MissingRuntimeError: its runtime is not installed.
            DeviceError: it has no device, or not this one.
            PluginError: also whatever else it raises, so that the caller can go on without it.
        """
        backend = self.backend(name)
        names = device_names(backend)
        if device is not None and device not in names:
            raise DeviceError(f"has no device '{device}', only {', '.join(names)}")
        return backend

    def readers(self) -> dict[str, SourceReader]:
        """Reader name -> reader of trained models."""
        return self._items("edgevision_readers", ("name", "reads", "read"))

    def converters(self) -> dict[str, Converter]:
        """Converter name -> converter."""
        return self._items("edgevision_converters", ("name", "kind", "format", "precisions", "convert"))

    def decoders(self) -> dict[str, Decoder]:
        """Decoder name -> decoder of a detection network's outputs."""
        return self._items("edgevision_decoders", ("name", "recognise", "prepare"))

    def decoder(self, name: str) -> Decoder:
        """The decoder called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("decoder", name, self.decoders())

    def export_formats(self) -> dict[str, ExportFormat]:
        """Name -> form of a model that another program expects."""
        return self._items("edgevision_export_formats", ("name", "summary", "formats", "export"))

    def tasks(self) -> dict[str, Any]:
        """Name -> kind of task, an `edgevision.tasks.kind.TaskKind`."""
        return self._items("edgevision_tasks", _TASK_MEMBERS)

    def task(self, name: str) -> Any:
        """The kind of task called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("task", name, self.tasks())

    def export_format(self, name: str) -> ExportFormat:
        """The export format called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("export format", name, self.export_formats())

    def frame_sources(self) -> dict[str, FrameSource]:
        """Name -> kind of source that frames of a stream come from."""
        return self._items("edgevision_frame_sources", ("name", "accepts", "recognises", "open"))

    def trackers(self) -> dict[str, TrackerKind]:
        """Name -> method that follows the objects of a stream."""
        return self._items("edgevision_trackers", ("name", "summary", "create"))

    def tracker(self, name: str) -> TrackerKind:
        """The tracker called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("tracker", name, self.trackers())

    def target_files(self) -> list[tuple[str, Any]]:
        """(plugin, path of a TOML file with device profiles)."""
        return self._ask("edgevision_targets")

    def commands(self) -> dict[str, click.Command]:
        """Command name -> click command that a plugin adds."""
        return self._items("edgevision_commands", ("name", "main"))

    def backend_statuses(self) -> list[BackendStatus]:
        """Every backend: ready with version and devices, or not ready with the reason and the next step."""
        backends = self._items_with_plugin("edgevision_backends", _BACKEND_MEMBERS)
        return [_status(backend, plugin) for _, (plugin, backend) in sorted(backends.items())]

    def _pick(self, kind: str, name: str, items: dict[str, NamedT]) -> NamedT:
        if name not in items:
            import difflib

            broken = "".join(f"; plugin '{p.plugin}' is broken: {p.reason}" for p in self.problems)
            available = ", ".join(sorted(items)) or "none"
            nearest = difflib.get_close_matches(name, items, n=1)
            guess = f"did you mean '{nearest[0]}'? " if nearest else ""
            raise PluginError(f"no {kind} '{name}'; {guess}available: {available}{broken}")
        return items[name]

    def _items(self, hook: str, members: tuple[str, ...]) -> dict[str, Any]:
        return {name: item for name, (_, item) in self._items_with_plugin(hook, members).items()}

    def _items_with_plugin(
        self, hook: str, members: tuple[str, ...], only: str | None = None
    ) -> dict[str, tuple[str, Any]]:
        """Name -> (plugin, item that it provides), checked.

        Of two items of the same name, the one whose plugin has that name too is used, so that it can be
        had by asking that plugin alone; otherwise the first.

        Args:
            hook: name of the hook.
            members: attributes that each item must have.
            only: the one plugin to ask, so that no other imports what it needs; `None` asks all.
        """
        items: dict[str, tuple[str, Any]] = {}
        for plugin, item in self._ask(hook, only):
            missing = [member for member in members if not hasattr(item, member)]
            if missing:
                self._record(plugin, f"{hook} returned {type(item).__name__} without {', '.join(missing)}")
            elif not isinstance(item.name, str):
                self._record(
                    plugin,
                    f"{hook} returned {type(item).__name__} with the name {shown(item.name)}, expected text",
                )
            elif item.name not in items:
                items[item.name] = plugin, item
            else:
                used, ignored = items[item.name][0], plugin
                if plugin == item.name != used:
                    items[item.name] = plugin, item
                    used, ignored = ignored, used
                self._record(ignored, f"'{item.name}' is already provided by plugin '{used}', which is used")
        return items

    def _ask(self, hook: str, only: str | None = None) -> list[tuple[str, Any]]:
        """(plugin, item) for all items of `hook`, asked one plugin at a time in the order of registration."""
        items: list[tuple[str, Any]] = []
        order = [name for name, _ in self.manager.list_name_plugin()]
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda each: order.index(each.plugin_name)):
            plugin = implementation.plugin_name
            if only not in (None, plugin):
                continue
            try:
                # Not called through pluggy, which silently drops a plugin that returns None.
                items += [(plugin, item) for item in _listed(implementation.function(), hook)]
            except (Exception, SystemExit) as error:
                self._record(plugin, error)
        return items

    def _record(self, plugin: str, error: BaseException | str) -> None:
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {first_line(error)}"
        problem = Problem(plugin, reason)
        if problem not in self.problems:
            self.problems.append(problem)


def discover(points: Iterable[EntryPoint], disabled: Iterable[str] = ()) -> Registry:
    """Import each plugin on its own, and record the ones that fail.

    Args:
        points: entry points, walked in the order of their names.
        disabled: names of entry points to leave out; ``all`` leaves out every one.
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
        registry._installed.add(point.name)
    return registry


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The installed plugins, without those that ``EDGEVISION_DISABLE_PLUGINS`` names.

    The variable holds names of entry points, separated by commas, or ``all``.
    """
    disabled = [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",")]
    found = discover(entry_points(GROUP), disabled)
    observers.set(found.observers())
    return found


def device_names(backend: Backend) -> list[str]:
    """The names of a backend's devices on this machine.

    Raises:
        EdgeVisionError: what the backend raises; as `PluginError` whatever else that is.
    """
    try:
        return [one.name for one in backend.devices()]
    except EdgeVisionError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"backend '{backend.name}' cannot list its devices: {type(error).__name__}: {first_line(error)}"
        ) from error


def _listed(items: Any, hook: str) -> list[Any]:
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise TypeError(f"{hook} returned {type(items).__name__}, expected a list")
    return list(items)


def _status(backend: Backend, plugin: str) -> BackendStatus:
    version = ""
    try:
        version = backend.version()
        devices = tuple(backend.devices())
    except (Exception, SystemExit) as error:
        return BackendStatus(backend.name, plugin, ready=False, version=version, reason=first_line(error))
    return BackendStatus(backend.name, plugin, ready=True, version=version, devices=devices)
