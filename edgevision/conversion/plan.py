"""Which artifacts a set of targets needs, and which backend measures each of them here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgevision.artifact import PRECISIONS
from edgevision.backend import Backend, SessionSettings
from edgevision.errors import DeviceError, MissingRuntimeError, OptionError
from edgevision.plugins import Registry
from edgevision.target import Target


@dataclass(frozen=True)
class PlannedArtifact:
    """One artifact that is to be made, however many targets share it.

    Attributes:
        format, precision: as `edgevision.artifact.Artifact` has them.
        targets: that it is made for.
        float_layers: layers of the source that stay in float, of ``int8-mixed``.
    """

    format: str
    precision: str
    targets: tuple[Target, ...]
    float_layers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Unique in a bundle, such as ``tflite-int8``, or ``tflite-int8-mixed-2`` with two float layers."""
        layers = f"-{len(self.float_layers)}" if self.float_layers else ""
        return f"{self.format}-{self.precision}{layers}"


@dataclass(frozen=True)
class MeasurementBackend:
    """Where an artifact is measured on this machine.

    Attributes:
        backend: that runs it.
        settings: on which device.
        on_target: whether both are what its target names.
    """

    backend: Backend
    settings: SessionSettings
    on_target: bool


def plan_artifacts(targets: Sequence[Target], precisions: Sequence[str]) -> list[PlannedArtifact]:
    """The artifacts that the targets need, in their order.

    Args:
        targets: one or more.
        precisions: that each target gets, of those that it runs; none is each target's cheapest.

    Raises:
        OptionError: there is no target, a precision is unknown, or a target runs none of them.
    """
    if not targets:
        raise OptionError("no target; type --target NAME (edgevision targets lists all)")
    for precision in precisions:
        if precision not in PRECISIONS:
            raise OptionError(f"no precision '{precision}'; there are: {', '.join(PRECISIONS)}")
    users: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        for precision in _fitting(target, precisions):
            users.setdefault((target.format, precision), []).append(target)
    return [PlannedArtifact(fmt, precision, tuple(found)) for (fmt, precision), found in users.items()]


def _fitting(target: Target, precisions: Sequence[str]) -> Sequence[str]:
    fitting = [p for p in precisions if p in target.precisions] if precisions else target.precisions[:1]
    if not fitting:
        raise OptionError(
            f"target '{target.name}' does not run {', '.join(precisions)}; "
            f"it runs: {', '.join(target.precisions)}"
        )
    return fitting


def measurement_backend_for(planned: PlannedArtifact, plugins: Registry) -> MeasurementBackend:
    """Where an artifact is measured here: on the first of its targets that this machine can be.

    Where it can be none of them: on the same backend's default device, or, where that backend
    cannot run here at all, on the target's stand-in.

    Raises:
        PluginError: no plugin gives the backend.
        MissingRuntimeError, DeviceError: neither the backend nor a stand-in can run here.
    """
    benches = [_measurement_backend(target, plugins) for target in planned.targets]
    return next((measured_on for measured_on in benches if measured_on.on_target), benches[0])


def _measurement_backend(target: Target, plugins: Registry) -> MeasurementBackend:
    backend = plugins.backend(target.backend)
    try:
        names = [device.name for device in backend.devices()]
    except (MissingRuntimeError, DeviceError):
        if target.stand_in is None:
            raise
        stand_in = plugins.backend(target.stand_in)
        stand_in.version()
        return MeasurementBackend(stand_in, SessionSettings(), on_target=False)
    present = target.device in (None, *names)
    settings = SessionSettings(target.device, target.compute_precision) if present else SessionSettings()
    return MeasurementBackend(backend, settings, on_target=present)
