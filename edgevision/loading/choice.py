"""The one place that decides what runs: which artifact, on which backend and device, with how many threads.

`choose` decides for a bundle, `choose_backend` for a bare file. Each logs its decision and the reason
in one line, at INFO on the logger ``edgevision``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgevision.backend import Backend, SessionSettings
from edgevision.errors import DeviceError, EdgeVisionError, MissingPluginError, OptionError, PluginError
from edgevision.plugins import Registry
from edgevision.plugins.door import maker
from edgevision.system.log import info

if TYPE_CHECKING:  # a process that runs a bare file imports no bundles
    from edgevision.bundle.manifest import ArtifactEntry
    from edgevision.bundle.storage import Bundle
    from edgevision.isolation.settings import Isolation
    from edgevision.loading.configurations import Configuration

#: ``0``: nothing is measured, unless the caller asks for it.
TUNE_VARIABLE = "EDGEVISION_TUNE"

_AS_REQUESTED = "the backend that was asked for"
_BY_ORDER = "the first in the bundle's order that this machine can run"


@dataclass(frozen=True)
class Request:
    """A caller's requirements on what runs. `None` leaves the decision to `choose`.

    Attributes:
        backend: name of the backend that must run the artifact.
        precision: of the artifact.
        settings: device, threads and options of the session.
        tune: `True` picks the fastest configuration, `False` the first in the bundle's order; `None` the
            fastest, unless the environment says ``EDGEVISION_TUNE=0``.
        selftest: as the argument of `edgevision.load`.
        left_out: pairs of an artifact's id and a backend's name that are not chosen, because they failed.
        isolation: how a runtime in a process of its own is watched; `None` for one in this process.
    """

    backend: str | None = None
    precision: str | None = None
    settings: SessionSettings = field(default_factory=SessionSettings)
    tune: bool | None = None
    selftest: str = "first-load"
    left_out: frozenset[tuple[str, str]] = frozenset()
    isolation: Isolation | None = None

    @property
    def may_tune(self) -> bool:
        """True if the fastest configuration may be picked.

        Options are one backend's own, and a GPU or NPU has no competitor: with either the order decides.
        """
        if self.backend is not None or self.settings.options or self.settings.device not in (None, "cpu"):
            return False
        return self.tune if self.tune is not None else os.environ.get(TUNE_VARIABLE) != "0"


class Choice(NamedTuple):
    """An artifact of a bundle, the backend that runs it, and the settings of the session."""

    entry: ArtifactEntry
    backend: Backend
    settings: SessionSettings

    def __str__(self) -> str:
        from edgevision.loading.configurations import threads_text

        device, threads = self.settings.device, self.settings.threads
        parts = [f"{self.entry.id} on {self.backend.name}"]
        parts += [] if device in (None, "cpu") else [f"device {device}"]
        return ", ".join(parts if threads is None else [*parts, threads_text(threads)])


class Decision(NamedTuple):
    """A choice, and why it was made.

    Attributes:
        choice: what runs.
        reason: in words.
        measured: True if configurations were timed for it now.
    """

    choice: Choice
    reason: str
    measured: bool = False

    def log(self, path: Path) -> None:
        """Log the decision in one line."""
        info("%s: %s: %s", path, self.choice, self.reason)


def choose(bundle: Bundle, request: Request, plugins: Registry) -> Choice:
    """Decide which artifact of a bundle runs, and how.

    In this order: the backend that was asked for; the fastest configuration, as measured earlier on this
    machine or now; the bundle's order. `edgevision.loading.load.load` has the rules in full.

    Raises:
        OptionError: the bundle has no artifact of this precision, or none that the backend loads.
        PluginError, MissingRuntimeError, DeviceError: the backend that was asked for does not exist, or
            none that can run the bundle is available on this machine.
    """
    decision = decide_unmeasured(bundle, request, plugins)
    if decision is None:
        decision = decide_measured(bundle, request, plugins)
        keep_measured(decision, bundle, request, plugins)
    decision.log(bundle.path)
    return decision.choice


def decide_unmeasured(bundle: Bundle, request: Request, plugins: Registry) -> Decision | None:
    """Decide without opening an artifact; `None` if configurations must be timed. Raises as `choose`."""
    if request.backend is not None:
        return Decision(_choice_of_backend(request.backend, bundle, request, plugins), _AS_REQUESTED)
    if not request.may_tune:
        return Decision(choice_by_order(bundle, request, plugins), _BY_ORDER)
    from edgevision.loading.cache import kept_choice

    possible = _possible(bundle, request, plugins)
    if len(possible) > 1:
        kept = kept_choice(bundle, request.settings, possible)
        if kept is not None:
            with suppress(EdgeVisionError):  # a backend that is gone: measure again
                choice = _on_cpu(kept[0], request.settings, plugins)
                return Decision(choice, f"as measured before ({kept[1]})")
    first = choice_by_order(bundle, request, plugins)
    if len(possible) > 1 and _is_on_cpu(first):
        return None
    return Decision(first, _BY_ORDER)


def decide_measured(bundle: Bundle, request: Request, plugins: Registry) -> Decision:
    """Time configurations where `decide_unmeasured` returned `None`. Raises as `choose`."""
    from edgevision.loading.race import race

    possible = _possible(bundle, request, plugins)
    first = choice_by_order(bundle, request, plugins)
    result = race(bundle, competitors(first, possible, plugins), request.settings, plugins)
    if result.winner is None:
        import logging

        message = "%s: no configuration passed the measurement, so the bundle's order decides: %s"
        logging.getLogger("edgevision").warning(message, bundle.path, result.summary())
        return Decision(first, _BY_ORDER)
    choice = _on_cpu(result.winner, request.settings, plugins)
    return Decision(choice, f"the fastest on this machine: {result.summary()}", measured=True)


def keep_measured(
    decision: Decision, bundle: Bundle, request: Request, plugins: Registry, folder: Path | None = None
) -> None:
    """Keep a decision that was measured, for `decide_unmeasured`.

    Args:
        decision: not kept if it was not measured.
        bundle, request, plugins: as for `choose`.
        folder: where; by default the user's cache.
    """
    if not decision.measured:
        return
    from edgevision.loading.cache import tuning_file, write_choice
    from edgevision.loading.configurations import Configuration

    entry, backend, settings = decision.choice
    possible = _possible(bundle, request, plugins)
    file = tuning_file(bundle, request.settings, possible, folder)
    chosen = Configuration(entry, backend.name, settings.threads or 1)
    write_choice(file, chosen, bundle, decision.reason)


def choice_by_order(bundle: Bundle, request: Request, plugins: Registry) -> Choice:
    """The first artifact, in the bundle's order, that an available backend runs on which it was measured.

    Raises:
        OptionError: the bundle has no artifact of this precision.
        PluginError, DeviceError: no such backend is available, or none has the device.
    """
    from edgevision.bundle.provenance import with_install_command
    from edgevision.loading.configurations import entries_of

    settings, reasons = request.settings, dict[str, str]()
    for entry in entries_of(bundle, request.precision):
        for name in entry.backends:
            if name in reasons or (entry.id, name) in request.left_out:
                continue
            try:
                return Choice(entry, plugins.available_backend(name, settings.device), settings)
            except MissingPluginError as error:
                provenance = bundle.manifest.provenance
                reasons[name] = str(with_install_command(error, provenance, "backend", name))
            except EdgeVisionError as error:
                reasons[name] = str(error)
    message = f"{bundle.path}: no backend that it was converted for is available: {_listed(reasons)}"
    raise PluginError(message) if settings.device is None else DeviceError(message)


def competitors(first: Choice, possible: Sequence[Configuration], plugins: Registry) -> list[Configuration]:
    """The configurations that compete with the choice by order: those of its precision that are available.

    Args:
        first: the choice by order.
        possible: the configurations of the bundle.
        plugins: of this process.

    Returns:
        Those of `first` itself in front; none where it does not run on the CPU.
    """
    if not _is_on_cpu(first):
        return []
    available = {name for name in {one.backend for one in possible} if _runs_on_cpu(name, plugins)}
    same = [one for one in possible if one.entry.precision == first.entry.precision]
    pair = first.entry.id, first.backend.name
    return sorted((one for one in same if one.backend in available), key=lambda one: one.pair != pair)


def choose_backend(path: Path, artifact_format: str, request: Request, plugins: Registry) -> Backend:
    """Decide which backend runs a bare file.

    Where none was asked for: the first available of the backends whose own format it is, by name, then of
    the others that load it, by name. The order is fixed, so that a machine decides the same each time.

    Raises:
        PluginError: the backend that was asked for does not exist.
        DeviceError: no backend that loads the format is available, or none has the device.
    """
    if request.backend is not None:
        backend = plugins.backend(request.backend)
        info("%s: on %s: %s", path, backend.name, _AS_REQUESTED)
        return backend
    reasons: dict[str, str] = {}
    for name in backends_of_format(artifact_format, plugins):
        try:
            backend = _available(name, request, plugins)
        except EdgeVisionError as error:
            reasons[name] = str(error)
        else:
            info("%s: on %s: the first available backend that loads the format", path, name)
            return backend
    raise DeviceError(
        f"{path}: no backend that loads {artifact_format} files is available: "
        f"{_listed(reasons) or 'none is installed'}"
    )


def _available(name: str, request: Request, plugins: Registry) -> Backend:
    """As `Registry.available_backend`; a runtime that is to be isolated is asked in a process of its own."""
    if request.isolation is None:
        return plugins.available_backend(name, request.settings.device)
    from edgevision.isolation.devices import available_in_child

    return available_in_child(plugins.backend(name), request.settings.device)


def _choice_of_backend(name: str, bundle: Bundle, request: Request, plugins: Registry) -> Choice:
    """The first artifact that was measured on the backend, else of its own format, else of another."""
    from edgevision.bundle.provenance import with_install_command
    from edgevision.loading.configurations import entries_of

    entries = entries_of(bundle, request.precision)
    try:
        backend = plugins.backend(name)
    except MissingPluginError as error:
        raise with_install_command(error, bundle.manifest.provenance, "backend", name) from error
    measured = [
        entry for entry in entries if backend.name in entry.backends and entry.format in backend.formats
    ]
    # One that was only measured there, in place of its own backend, comes after those that are for it.
    measured.sort(key=lambda entry: entry.backends.index(backend.name))
    loadable = [entry for own in backend.formats for entry in entries if entry.format == own]
    for entry in [*measured, *loadable]:
        return Choice(entry, backend, request.settings)
    raise OptionError(
        f"{bundle.path}: has no artifact that backend '{backend.name}' loads ({', '.join(backend.formats)}); "
        f"it has: {', '.join(entry.id for entry in entries)}"
    )


def _possible(bundle: Bundle, request: Request, plugins: Registry) -> list[Configuration]:
    from edgevision.loading.configurations import configurations

    found = configurations(bundle, request.precision, request.settings.threads, plugins)
    return [one for one in found if one.pair not in request.left_out]


def _is_on_cpu(choice: Choice) -> bool:
    return (choice.settings.device or choice.backend.devices()[0].name) == "cpu"


def backends_of_format(artifact_format: str, plugins: Registry) -> list[str]:
    """The names of the backends that load a format: those whose own it is, then the others.

    Of either, EdgeVision's own come first, each by name.
    """
    backends = sorted(plugins.backends().items(), key=lambda one: (maker(one[1]) is not None, one[0]))
    own = [name for name, backend in backends if artifact_format in backend.formats[:1]]
    return own + [name for name, backend in backends if artifact_format in backend.formats[1:]]


def _on_cpu(one: Configuration, settings: SessionSettings, plugins: Registry) -> Choice:
    backend = plugins.available_backend(one.backend, "cpu")
    return Choice(one.entry, backend, one.session_settings(settings))


def _runs_on_cpu(name: str, plugins: Registry) -> bool:
    try:
        plugins.available_backend(name, "cpu")
    except Exception:  # of a third party's plugin, without which the bundle runs all the same
        return False
    return True


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
