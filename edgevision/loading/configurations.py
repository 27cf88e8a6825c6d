"""The configurations that a bundle offers: each artifact on each backend, with so many CPU threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgevision.backend import Backend, SessionSettings
from edgevision.errors import OptionError
from edgevision.plugins import Registry
from edgevision.system.cores import cores

if TYPE_CHECKING:
    from edgevision.bundle.manifest import ArtifactEntry
    from edgevision.bundle.storage import Bundle


@dataclass(frozen=True)
class Configuration:
    """One artifact on one backend on the CPU.

    Attributes:
        entry: the artifact.
        backend: the backend's name.
        threads: CPU threads for one call.
    """

    entry: ArtifactEntry
    backend: str
    threads: int

    @property
    def pair(self) -> tuple[str, str]:
        """Id of the artifact and name of the backend."""
        return self.entry.id, self.backend

    def session_settings(self, settings: SessionSettings) -> SessionSettings:
        """`settings` with the device and the threads of this configuration."""
        return replace(settings, device="cpu", threads=self.threads)

    def __str__(self) -> str:
        return f"{self.entry.id} on {self.backend}, {threads_text(self.threads)}"


def configurations(
    bundle: Bundle, precision: str | None, threads: int | None, plugins: Registry
) -> list[Configuration]:
    """Every artifact on every backend that may run it, whether the backend is available or not.

    These are the backends that the artifact was measured on, and those whose own format it has.

    Args:
        bundle: whose artifacts to run.
        precision: of the artifacts; `None` for all.
        threads: for one call; `None` for one thread, and one per core that this process may use.
        plugins: of this process.

    Returns:
        In the bundle's order.

    Raises:
        OptionError: the bundle has no artifact of this precision.
    """
    backends = plugins.backends()
    counts = (threads,) if threads else sorted({1, cores()})
    return [
        Configuration(entry, name, count)
        for entry in entries_of(bundle, precision)
        for name in _backends_of(entry, backends)
        for count in counts
    ]


def entries_of(bundle: Bundle, precision: str | None) -> list[ArtifactEntry]:
    """The bundle's artifacts of a precision, or all of them, in the bundle's order.

    Raises:
        OptionError: there is none.
    """
    entries = [entry for entry in bundle.manifest.artifacts if precision in (None, entry.precision)]
    if not entries:
        ids = ", ".join(entry.id for entry in bundle.manifest.artifacts)
        raise OptionError(f"{bundle.path}: has no artifact of precision '{precision}'; it has: {ids}")
    return entries


def threads_text(threads: int) -> str:
    """``1 thread``, ``2 threads``."""
    return "1 thread" if threads == 1 else f"{threads} threads"


def _backends_of(entry: ArtifactEntry, backends: Mapping[str, Backend]) -> list[str]:
    own = [name for name, backend in backends.items() if entry.format in backend.formats[:1]]
    return [name for name in dict.fromkeys((*entry.backends, *own)) if name in backends]
