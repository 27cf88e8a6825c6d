"""The limits of targets on size, latency and memory, and which of them this machine can measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgevision.artifact import Artifact
from edgevision.conversion.plan import MeasurementBackend
from edgevision.evidence.requirements import Requirement
from edgevision.execution.run_costs import RunCosts
from edgevision.system.machine import processor
from edgevision.target import Target

#: Units of the limits of targets; the budget has other units.
DEVICE_UNITS = ("MB", "ms")


def device_requirements(
    artifact: Artifact,
    measured_on: MeasurementBackend,
    targets: Sequence[Target],
    costs: Callable[[], RunCosts],
) -> tuple[Requirement, ...]:
    """The limits of the targets, with the values that this machine can measure.

    Size always; latency (median of a run of the network alone, with one example) and memory (peak of a
    process that loads and runs it) only if the target names its machine, and this is one: that a workstation
    meets a limit says nothing about a device.

    Args:
        artifact: shared by the targets.
        measured_on: backend and settings that it is measured with.
        targets: the strictest limit among them is required.
        costs: measures latency and memory; called only if a limit needs them.

    Raises:
        InferenceError: a run failed.
    """
    requirements = []
    size_mb = _strictest("max_size_mb", targets)
    if size_mb is not None:
        requirements.append(Requirement.exact("size", False, size_mb, artifact.size_bytes / 1e6, "MB"))
    measurable = [target for target in targets if is_this_machine(target, measured_on)]
    latency_ms, memory_mb = _strictest("max_latency_ms", measurable), _strictest("max_memory_mb", measurable)
    if latency_ms is None and memory_mb is None:
        return tuple(requirements)
    run = costs()
    if latency_ms is not None:
        requirements.append(Requirement.exact("latency", False, latency_ms, run.latency_ms, "ms"))
    if memory_mb is not None:
        requirements.append(Requirement.exact("memory", False, memory_mb, run.peak_memory_mb, "MB"))
    return tuple(requirements)


def unmeasured_limits(measured_on: MeasurementBackend, targets: Iterable[Target]) -> list[str]:
    """Notes on the limits that this machine cannot check."""
    return [
        f"{name} of {target.name} was not checked: {_why_unmeasured(target)}"
        for target in targets
        for name in ("max_latency_ms", "max_memory_mb")
        if name in target.limits and not is_this_machine(target, measured_on)
    ]


def is_this_machine(target: Target, measured_on: MeasurementBackend) -> bool:
    """True if artifacts for the target are measured on the machine that it names, by its name."""
    named = target.machine is not None and target.machine in processor()
    return named and runs_as_on_target(target, measured_on)


def runs_as_on_target(target: Target, measured_on: MeasurementBackend) -> bool:
    """True if artifacts for the target are measured with its backend and on its kind of device."""
    same_device = target.device in (None, measured_on.settings.device)
    return measured_on.on_target and target.backend == measured_on.backend.name and same_device


def _why_unmeasured(target: Target) -> str:
    if target.machine is None:
        return f'{target.origin} does not name the machine of this target; add machine = "…" to it'
    return f"this machine is a different device ({processor()})"


def _strictest(name: str, targets: Iterable[Target]) -> float | None:
    return min((target.limits[name] for target in targets if name in target.limits), default=None)
