"""How long a run of an artifact takes and how much memory, and what its targets allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from edgevision.artifact import Artifact
from edgevision.conversion.plan import MeasurementBackend
from edgevision.evidence.requirements import Requirement
from edgevision.execution.run_costs import RunCosts
from edgevision.system.machine import processor
from edgevision.target import Target

#: Units of what targets limit; what an artifact may lose has others.
DEVICE_UNITS = ("MB", "ms")


def device_requirements(
    artifact: Artifact,
    measured_on: MeasurementBackend,
    targets: Sequence[Target],
    costs: Callable[[], RunCosts],
) -> tuple[Requirement, ...]:
    """What the targets allow, held against what can be measured here.

    Size always; latency (the median of a run of the network alone, with one example) and memory (the
    peak of a process that loads and runs it) only on a machine that is such a device.

    Args:
        artifact: that is made for the targets.
        measured_on: where, and with which settings.
        targets: the strictest limit of all is required.
        costs: asked for what a run costs, where a limit needs it.

    Raises:
        InferenceError: a run failed.
    """
    requirements = []
    size_mb = _strictest("max_size_mb", targets)
    if size_mb is not None:
        requirements.append(Requirement("size", False, size_mb, artifact.size_bytes / 1e6, "MB"))
    here = [target for target in targets if is_here(target, measured_on)]
    latency_ms, memory_mb = _strictest("max_latency_ms", here), _strictest("max_memory_mb", here)
    if latency_ms is None and memory_mb is None:
        return tuple(requirements)
    measured = costs()
    if latency_ms is not None:
        requirements.append(Requirement("latency", False, latency_ms, measured.latency_ms, "ms"))
    if memory_mb is not None:
        requirements.append(Requirement("memory", False, memory_mb, measured.peak_memory_mb, "MB"))
    return tuple(requirements)


def unmeasured_limits(measured_on: MeasurementBackend, targets: Iterable[Target]) -> list[str]:
    """In words, which limits could not be held against anything here."""
    return [
        f"{name} of {target.name} was not measured: this machine is none ({processor()})"
        for target in targets
        for name in ("max_latency_ms", "max_memory_mb")
        if name in target.limits and not is_here(target, measured_on)
    ]


def is_here(target: Target, measured_on: MeasurementBackend) -> bool:
    """Whether an artifact is measured on such a device, as far as the machine tells."""
    fits = target.backend == measured_on.backend.name and target.device in (
        None,
        measured_on.settings.device,
    )
    return measured_on.on_target and fits and (target.machine is None or target.machine in processor())


def _strictest(name: str, targets: Iterable[Target]) -> float | None:
    return min((target.limits[name] for target in targets if name in target.limits), default=None)
