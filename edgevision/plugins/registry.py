"""The plugins of this process: what each provides, under which name, and what is wrong with it.

pluggy's own loader stops at the first plugin that fails to import, and a call of a hook stops at the
first implementation that raises. A robot must not lose its camera to a typo in someone else's plugin.
So each plugin is asked on its own, and a failure is recorded with its reason.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import pluggy

from edgevision.artifact import STANDARD_FORMATS, FileFormat, declare_precisions
from edgevision.errors import (
    DeviceError,
    EdgeVisionError,
    MissingPluginError,
    PluginError,
    PluginFailedError,
    first_line,
)
from edgevision.observation import HOOKS, Listener
from edgevision.plugins.door import Door, guarded, maker
from edgevision.plugins.provider import Provider, normalized
from edgevision.plugins.shapes import wrong_item
from edgevision.plugins.time_limit import within_limit
from edgevision.system.log import warning
from edgevision.system.shown import shown

if TYPE_CHECKING:
    import click

    from edgevision.backend import Backend, DeviceInfo
    from edgevision.converter import Converter, SourceReader
    from edgevision.decoder import Decoder
    from edgevision.executor import Executor
    from edgevision.export_format import ExportFormat
    from edgevision.frame_source import FrameSource
    from edgevision.tracker import TrackerKind


class _Named(Protocol):
    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=_Named)
AnswerT = TypeVar("AnswerT")


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


class _Later:
    """An import that is done once, when the first of its hooks is asked for."""

    def __init__(self, name: str, importing: Callable[[], None]) -> None:
        self.name = name
        self._importing: Callable[[], None] | None = importing

    def run(self) -> None:
        importing, self._importing = self._importing, None
        if importing is not None:
            importing()


class Registry:
    """The plugins of this process, and what each of them provides.

    Attributes:
        problems: all failures so far, in the order of their discovery.
        providers: name of a plugin -> where it comes from.
        import_seconds: plugin -> how long its import took.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self.manager = manager
        self.problems: list[Problem] = []
        self.providers: dict[str, Provider] = {}
        self.import_seconds: dict[Provider, float] = {}
        #: Hook -> what imports and registers the plugins that implement it, and were not needed so far.
        self._later: dict[str, list[_Later]] = {}
        self._importing = threading.RLock()

    @property
    def has_own(self) -> bool:
        """True if a plugin is registered in this process only, and not installed: other processes lack it."""
        present = [self.provider_of(name) for name, _ in self.manager.list_name_plugin()]
        return any(not provider.distribution and not provider.value for provider in present)

    def provider_of(self, plugin: str) -> Provider:
        """The provider of a plugin; one that was registered with `manager` alone is of this process."""
        return self.providers.get(plugin) or Provider("", "", plugin)

    def register(self, plugin: Any, name: str, provider: Provider | None = None) -> None:
        """Register a plugin: a module or object with hook implementations.

        An invalid one is recorded in `problems` and left out.

        Args:
            plugin: the module or object.
            name: unique; a plugin of a name that is taken is registered as ``distribution:name``.
            provider: where it comes from; by default this process.
        """
        provider = provider or Provider("", "", name)
        if self.manager.has_plugin(name):
            name = provider.qualified(provider.entry_point)
        self.providers[name] = provider
        try:
            self.manager.register(plugin, name=name)
            self.manager.check_pending()
        except Exception as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            # pluggy's reason is in the last of several lines.
            self.record(name, f"{type(error).__name__}: {' '.join(str(error).split())}")

    def import_for(self, hooks: Iterable[str], provider: Provider, importing: Callable[[], None]) -> None:
        """Call a function before one of these hooks is asked for the first time: it registers a plugin."""
        later = _Later(provider.entry_point, importing)
        for hook in hooks:
            self._later.setdefault(hook, []).append(later)

    def free_name(self, provider: Provider) -> str:
        """The name that a plugin is registered by: that of its entry point, if no other plugin has it."""
        name = provider.entry_point
        return provider.qualified(name) if self.manager.has_plugin(name) else name

    def observers(self) -> dict[str, list[Listener]]:
        """Hook of observers -> its implementations, in the order of registration."""
        order = [name for name, _ in self.manager.list_name_plugin()]
        return {
            hook: [
                Listener(one.plugin_name, self._observing(one, hook), one.argnames)
                for one in sorted(
                    getattr(self.manager.hook, hook).get_hookimpls(),
                    key=lambda each: order.index(each.plugin_name),
                )
            ]
            for hook in HOOKS
        }

    def _observing(self, implementation: pluggy.HookImpl, hook: str) -> Callable[..., Any]:
        provider = self.provider_of(implementation.plugin_name)
        if not provider.distribution:  # an object of the caller's own
            return implementation.function

        def observe(**arguments: Any) -> None:
            with Door(provider, hook):
                implementation.function(**arguments)

        return observe

    def backends(self) -> dict[str, Backend]:
        """Backend name -> backend, whether its runtime is installed or not."""
        return self._items("edgevision_backends")

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
        # EdgeVision's own first; of either, those of a backend's own format: it knows its files best.
        declared = [
            (maker(each) is not None, place, form)
            for name, each in sorted(backends.items())
            for place, form in enumerate(self._formats_of(name, each))
        ]
        by_name: dict[str, FileFormat] = {}
        own_suffixes: set[str] = set()
        for is_foreign, _, form in sorted(declared, key=lambda one: one[:2]):
            if not is_foreign:
                own_suffixes.add(form.suffixes[0])
            elif form.suffixes[0] in own_suffixes:  # such files go to it only if it is named
                continue
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
            self.record(name, error)
            return []

    def backend(self, name: str) -> Backend:
        """The backend called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        name = str(name)  # whatever it is, the error names it
        own = self._items_with_plugin("edgevision_backends", only=name)
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
        return self._items("edgevision_readers")

    def converters(self) -> dict[str, Converter]:
        """Converter name -> converter."""
        converters: dict[str, Converter] = self._items("edgevision_converters")
        for name, converter in converters.items():
            try:
                declare_precisions(getattr(converter, "precision_words", ()))
            except Exception as error:  # of a third party's plugin: the others go on without it
                self.record(name, error)
        return converters

    def reader(self, name: str) -> SourceReader:
        """The reader called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("reader", name, self.readers())

    def converter(self, name: str) -> Converter:
        """The converter called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("converter", name, self.converters())

    def decoders(self) -> dict[str, Decoder]:
        """Decoder name -> decoder of a detection network's outputs."""
        return self._items("edgevision_decoders")

    def decoder(self, name: str) -> Decoder:
        """The decoder called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("decoder", name, self.decoders())

    def export_formats(self) -> dict[str, ExportFormat]:
        """Name -> form of a model that another program expects."""
        return self._items("edgevision_export_formats")

    def tasks(self) -> dict[str, Any]:
        """Name -> kind of task, an `edgevision.tasks.kind.TaskKind`."""
        return self._items("edgevision_tasks")

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
        return self._items("edgevision_frame_sources")

    def trackers(self) -> dict[str, TrackerKind]:
        """Name -> method that follows the objects of a stream."""
        return self._items("edgevision_trackers")

    def tracker(self, name: str) -> TrackerKind:
        """The tracker called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("tracker", name, self.trackers())

    def executors(self) -> dict[str, Executor]:
        """Name -> place where batches of many images are worked on."""
        return self._items("edgevision_executors")

    def executor(self, name: str) -> Executor:
        """The executor called `name`.

        Raises:
            PluginError: there is none; lists the available ones.
        """
        return self._pick("executor", name, self.executors())

    def target_files(self) -> list[tuple[str, Any]]:
        """(plugin, path of a TOML file with device profiles)."""
        files = []
        for plugin, path in self._ask("edgevision_targets"):
            if isinstance(path, (str, os.PathLike)):
                files.append((plugin, path))
            else:
                self.record(plugin, f"edgevision_targets returned {shown(path)}, expected the path of a file")
        return files

    def commands(self) -> dict[str, click.Command]:
        """Command name -> click command that a plugin adds."""
        return self._items("edgevision_commands")

    def backend_statuses(self) -> list[BackendStatus]:
        """Every backend: ready with version and devices, or not ready with the reason and the next step."""
        backends = self._items_with_plugin("edgevision_backends")
        return [_status(name, backend, plugin) for name, (plugin, backend) in sorted(backends.items())]

    def provided(self, hook: str) -> list[tuple[str, str]]:
        """(name, plugin) of every item of a hook, such as ``edgevision_backends``."""
        return [(name, plugin) for name, (plugin, _) in self._items_with_plugin(hook).items()]

    def provider(self, hook: str, name: str) -> Provider | None:
        """Where the item of a name comes from; `None` if there is none.

        Args:
            hook: that provides it, such as ``edgevision_backends``.
            name: its name.
        """
        found = self._items_with_plugin(hook).get(name)
        return None if found is None else self.provider_of(found[0])

    def answers(
        self, items: Mapping[str, NamedT], ask: Callable[[NamedT], AnswerT], question: str = "recognise"
    ) -> Iterator[tuple[NamedT, AnswerT]]:
        """Ask every item, and yield it with its answer; one whose code fails is recorded and passed over.

        Args:
            items: name -> item, as by `decoders`.
            ask: calls the item.
            question: the call, for errors.
        """
        for item in items.values():
            try:
                answer = within_limit(item, question, partial(ask, item))
            except PluginFailedError as error:
                self.record_failure(error)
            else:
                yield item, answer

    def record_failure(self, error: PluginFailedError) -> None:
        """Record that a plugin failed, and warn of it once: the caller goes on without it."""
        names = [
            name
            for name, provider in self.providers.items()
            if (provider.distribution, provider.entry_point) == (error.package, error.plugin)
        ]
        if self.record((*names, error.plugin)[0], str(error)):
            warning("%s", error)

    def record(self, plugin: str, error: BaseException | str) -> bool:
        """Record a problem of a plugin.

        Returns:
            `False` if it is recorded already.
        """
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {first_line(error)}"
        problem = Problem(plugin, reason)
        if problem in self.problems:
            return False
        self.problems.append(problem)
        return True

    def _pick(self, kind: str, name: str, items: Mapping[str, NamedT]) -> NamedT:
        if name in items:
            return items[name]
        distribution, colon, bare = name.partition(":")
        if colon:
            hook = f"edgevision_{kind.replace(' ', '_')}s"
            for key, (plugin, item) in self._items_with_plugin(hook).items():
                provider = self.provider_of(plugin)
                own_name = provider.qualified(bare)
                if key in (bare, own_name) and own_name in (name, f"{normalized(distribution)}:{bare}"):
                    return item  # type: ignore[no-any-return]
        import difflib

        broken = "".join(f"; plugin '{p.plugin}' is broken: {p.reason}" for p in self.problems)
        available = ", ".join(sorted(items)) or "none"
        nearest = difflib.get_close_matches(name, items, n=1)
        guess = f"did you mean '{nearest[0]}'? " if nearest else ""
        raise MissingPluginError(f"no {kind} '{name}'; {guess}available: {available}{broken}")

    def _items(self, hook: str) -> dict[str, Any]:
        return {name: item for name, (_, item) in self._items_with_plugin(hook).items()}

    def _items_with_plugin(self, hook: str, only: str | None = None) -> dict[str, tuple[str, Any]]:
        """Name -> (plugin, item that it provides), checked.

        Of several items of one name, the bare name means EdgeVision's own; without one, that of the plugin
        that has the name too, so that it can be had by asking that plugin alone; else the first. The others
        have the name ``distribution:name``.

        Args:
            hook: name of the hook.
            only: the one plugin to ask, so that no other imports what it needs; `None` asks all.
        """
        groups: dict[str, list[tuple[str, Any]]] = {}
        for plugin, item in self._ask(hook, only):
            provider = self.provider_of(plugin)
            try:
                with Door(provider, hook):
                    # EdgeVision's own have tests instead: to read the schema of a task costs a load 0.6 ms.
                    wrong = "" if provider.is_own else wrong_item(hook, item)
                    name = "" if wrong else item.name
            except PluginFailedError as error:
                self.record(plugin, str(error))
                continue
            if wrong:
                self.record(plugin, f"{hook} returned {wrong}")
            else:
                groups.setdefault(name, []).append((plugin, item))
        items: dict[str, tuple[str, Any]] = {}
        for name, found in groups.items():
            # Stable: the first of several that are alike.
            found.sort(key=lambda each: (not self.provider_of(each[0]).is_own, each[0] != name))
            for place, (plugin, item) in enumerate(found):
                provider = self.provider_of(plugin)
                key = name if place == 0 else provider.qualified(name)
                if key in items:
                    self.record(plugin, f"provides '{name}' twice; the first is used")
                    continue
                if place > 0:
                    self.record(plugin, f"'{name}' means that of plugin '{found[0][0]}'; this one is '{key}'")
                what = f"{_KINDS[hook]} '{key}'"
                items[key] = plugin, guarded(item, provider, hook, what, None if place == 0 else key)
        return items

    def _ask(self, hook: str, only: str | None = None) -> list[tuple[str, Any]]:
        """(plugin, item) for all items of `hook`, asked one plugin at a time in the order of registration."""
        if hook in self._later:
            with self._importing:
                for later in self._later[hook]:
                    if only in (None, later.name):
                        later.run()
                if only is None:
                    self._later.pop(hook, None)
        items: list[tuple[str, Any]] = []
        order = [name for name, _ in self.manager.list_name_plugin()]
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        for implementation in sorted(implementations, key=lambda each: order.index(each.plugin_name)):
            plugin = implementation.plugin_name
            if only not in (None, plugin):
                continue
            provider = self.provider_of(plugin)
            try:
                # Not called through pluggy, which silently drops a plugin that returns None.
                with Door(provider, hook):
                    found = implementation.function()
                    items += [(plugin, item) for item in _listed(found, hook)]
            except EdgeVisionError as error:
                self.record(plugin, error.__cause__ or error)
        return items


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


#: Hook -> one of its items, in words.
_KINDS = {
    "edgevision_backends": "backend",
    "edgevision_readers": "reader",
    "edgevision_converters": "converter",
    "edgevision_decoders": "decoder",
    "edgevision_tasks": "task",
    "edgevision_export_formats": "export format",
    "edgevision_frame_sources": "source",
    "edgevision_trackers": "tracker",
    "edgevision_executors": "executor",
    "edgevision_commands": "command",
}


def _status(name: str, backend: Backend, plugin: str) -> BackendStatus:
    version = ""
    try:
        version = within_limit(backend, "version", backend.version)
        devices = tuple(within_limit(backend, "devices", backend.devices))
    except (Exception, SystemExit) as error:
        return BackendStatus(name, plugin, ready=False, version=version, reason=first_line(error))
    return BackendStatus(name, plugin, ready=True, version=version, devices=devices)
