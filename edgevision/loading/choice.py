"""Which artifact of a bundle is run, and on what: by the bundle's order, and who could take its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from edgevision.backend import Backend, SessionSettings
from edgevision.errors import DeviceError, EdgeVisionError, OptionError, PluginError
from edgevision.plugins import Registry
from edgevision.system.cores import cores

if TYPE_CHECKING:
    from edgevision.bundle.manifest import ArtifactEntry
    from edgevision.bundle.storage import Bundle


class Choice(NamedTuple):
    """An artifact of a bundle, the backend that is to run it, and how."""

    entry: ArtifactEntry
    backend: Backend
    settings: SessionSettings


@dataclass(frozen=True)
class Configuration:
    """What may be chosen on the CPU.

    Attributes:
        entry: the artifact.
        backend: the backend's name.
        threads: for one call.
    """

    entry: ArtifactEntry
    backend: str
    threads: int

    @property
    def pair(self) -> tuple[str, str]:
        """Id of the artifact and name of the backend."""
        return self.entry.id, self.backend

    def choice(self, settings: SessionSettings, plugins: Registry) -> Choice:
        """To run it with `settings`, but for device and threads."""
        own = replace(settings, device="cpu", threads=self.threads)
        return Choice(self.entry, plugins.backend(self.backend), own)

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.entry.id} on {self.backend}, {threads}"


def first_choice(
    bundle: Bundle, backend: str | None, settings: SessionSettings, precision: str | None, plugins: Registry
) -> Choice:
    """By the bundle's order: the first artifact that a backend it was measured on can run here.

    Raises:
        OptionError: the bundle has no artifact that fits.
        PluginError, MissingRuntimeError: the backend, or none that fits, can be had here.
    """
    entries = _entries(bundle, precision)
    if backend is not None:
        return _choice_of_backend(bundle, plugins.backend(backend), entries, settings)
    return _first_ready(bundle, entries, settings, plugins)


def candidates(
    bundle: Bundle, settings: SessionSettings, precision: str | None, plugins: Registry
) -> list[Configuration]:
    """Every artifact on every backend that may run it, whether its runtime is here or not.

    Those are the backends that it was measured on, and those whose own format it has. The threads are
    those that `settings` ask for, else one, and one for each core that this process may use.

    Raises:
        OptionError: the bundle has no artifact of this precision.
    """
    there = plugins.backends()
    counts = (settings.threads,) if settings.threads else sorted({1, cores()})
    return [
        Configuration(entry, name, threads)
        for entry in _entries(bundle, precision)
        for name in _backends_of(entry, there)
        for threads in counts
    ]


def reason_against(name: str, device: str | None, plugins: Registry) -> str:
    """Why a backend cannot run on a device here; empty if it can."""
    try:
        names = [found.name for found in plugins.backend(name).devices()]
    except EdgeVisionError as error:
        return str(error)
    if device is not None and device not in names:
        return f"has no device '{device}' here, only {', '.join(names)}"
    return ""


def listed(reasons: Mapping[str, str]) -> str:
    """Reasons in one line, each with its backend."""
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _entries(bundle: Bundle, precision: str | None) -> list[ArtifactEntry]:
    entries = [e for e in bundle.manifest.artifacts if precision in (None, e.precision)]
    if not entries:
        have = ", ".join(entry.id for entry in bundle.manifest.artifacts)
        raise OptionError(f"{bundle.path}: has no artifact of precision '{precision}'; it has: {have}")
    return entries


def _backends_of(entry: ArtifactEntry, there: Mapping[str, Backend]) -> list[str]:
    own = [name for name, backend in there.items() if backend.formats[0] == entry.format]
    return [name for name in dict.fromkeys((*entry.backends, *own)) if name in there]


def _choice_of_backend(
    bundle: Bundle, backend: Backend, entries: Sequence[ArtifactEntry], settings: SessionSettings
) -> Choice:
    """The first artifact of the backend's own format, else of another that it loads."""
    measured = [entry for entry in entries if backend.name in entry.backends]
    loadable = [entry for fmt in backend.formats for entry in entries if entry.format == fmt]
    for entry in [*(entry for entry in measured if entry.format in backend.formats), *loadable]:
        return Choice(entry, backend, settings)
    raise OptionError(
        f"{bundle.path}: has no artifact that backend '{backend.name}' loads ({', '.join(backend.formats)}); "
        f"it has: {', '.join(entry.id for entry in entries)}"
    )


def _first_ready(
    bundle: Bundle, entries: Sequence[ArtifactEntry], settings: SessionSettings, plugins: Registry
) -> Choice:
    """The first artifact that a backend it was measured on can run here."""
    reasons: dict[str, str] = {}
    for entry in entries:
        for name in entry.backends:
            reason = reasons.get(name) or reason_against(name, settings.device, plugins)
            if not reason:
                return Choice(entry, plugins.backend(name), settings)
            reasons[name] = reason
    told = f"{bundle.path}: no backend that it was made for can run here: {listed(reasons)}"
    raise PluginError(told) if settings.device is None else DeviceError(told)
