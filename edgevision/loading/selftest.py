"""Checks the known answers of a bundle on this machine: every artifact, on each of its backends.

Each is opened in a child process: one that crashes its runtime is a row that failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgevision.backend import SessionSettings
from edgevision.bundle.answers_on_session import answers_of
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.errors import DeviceError, EdgeVisionError, OptionError, PluginError
from edgevision.execution.worker import Worker
from edgevision.loading.check_in_child import answers_in_child
from edgevision.loading.choice import Choice
from edgevision.plugins import Registry, registry


@dataclass(frozen=True)
class SelftestRow:
    """One artifact on one backend.

    Attributes:
        artifact: its id in the bundle.
        backend: the backend's name.
        device: where it ran or was asked to run; empty where it could not be loaded.
        status: ``passed``, ``failed``, or ``not run``: the backend or the device is not available.
        difference: the largest difference from a known answer, as a share of its tensor's range;
            `None` where it did not pass.
        reason: why it did not pass.
    """

    artifact: str
    backend: str
    device: str
    status: str
    difference: float | None = None
    reason: str = ""


def run_known_answers(
    bundle: str | Path,
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    settings: SessionSettings | None = None,
) -> list[SelftestRow]:
    """Check the digests of a bundle's files, and its known answers on this machine.

    Args:
        bundle: a bundle.
        backend: the backend that must run the artifacts; by default each artifact's own backends.
        device: the device that they must run on.
        precision: precision of the artifacts; by default all.
        settings: threads, execution precision and the backend's options.

    Returns:
        A row per artifact and backend, in the bundle's order; at least one ran.

    Raises:
        BundleError: the bundle is damaged.
        OptionError: no artifact has this precision or is for this backend, or a backend refuses an option.
        PluginError, MissingRuntimeError, DeviceError: nothing could run on this machine.
    """
    opened, plugins = read_bundle(bundle), registry()
    answers_of(opened)  # damage is no row
    settings = settings or SessionSettings()
    settings = replace(settings, device=device or settings.device)
    pairs = list(_pairs(opened, backend, precision, plugins))
    if not pairs:
        request = " and ".join(f"'{name}'" for name in (precision, backend) if name)
        ids = ", ".join(entry.id for entry in opened.manifest.artifacts)
        raise OptionError(f"{bundle}: has no artifact for {request}; it has: {ids}")
    with Worker() as worker:
        check = _Check(opened, worker, settings, plugins)
        rows = [check.row(entry, name) for entry, name in pairs]
    if all(row.status == "not run" for row in rows):
        reasons = "; ".join(dict.fromkeys(f"{row.backend}: {row.reason}" for row in rows))
        raise PluginError(f"{bundle}: no artifact can run on this machine: {reasons}")
    return rows


def _pairs(
    bundle: Bundle, backend: str | None, precision: str | None, plugins: Registry
) -> Iterator[tuple[ArtifactEntry, str]]:
    formats = () if backend is None else plugins.backend(backend).formats
    for entry in bundle.manifest.artifacts:
        if precision not in (None, entry.precision):
            continue
        if backend is None:
            yield from ((entry, name) for name in entry.backends)
        elif entry.format in formats:
            yield entry, backend


@dataclass(frozen=True)
class _Check:
    """The bundle, a process for its artifacts, and the settings of the sessions."""

    bundle: Bundle
    worker: Worker
    settings: SessionSettings
    plugins: Registry

    def row(self, entry: ArtifactEntry, name: str) -> SelftestRow:
        """Check one artifact on the backend called `name`."""
        device = self.settings.device or ""
        try:
            backend = self.plugins.available_backend(name, self.settings.device)
        except (PluginError, DeviceError) as error:
            return SelftestRow(entry.id, name, device, "not run", reason=str(error))
        try:
            choice = Choice(entry, backend, self.settings)
            device, difference = answers_in_child(self.worker, self.bundle, choice)
        except EdgeVisionError as error:
            if isinstance(error, OptionError) and self.settings.options:
                raise  # the caller's mistake says nothing of the artifact
            return SelftestRow(entry.id, name, device, "failed", reason=str(error))
        return SelftestRow(entry.id, name, device, "passed", difference)
