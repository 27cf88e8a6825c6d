"""The speed of candidates for a target: where it is measured, and which of two is the slower one."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence

from edgevision.conversion.device_limits import runs_as_on_target
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact, measurement_backend_for
from edgevision.execution.run_costs import RunCosts, is_slower, slowdown
from edgevision.plugins import Registry
from edgevision.system.machine import processor
from edgevision.target import Target

#: A candidate is slower than another if it needs this share more time, beyond noise.
SLOWER_SHARE = 0.10

#: True if the first of two artifacts is slower than the second; both by their ids.
IsSlower = Callable[[str, str], bool]


def timed_here(targets: Sequence[Target], plugins: Registry) -> frozenset[str]:
    """The names of the targets for which a run on this machine says how fast an artifact is."""
    artifacts = [PlannedArtifact(target.format, target.precisions[0], (target,)) for target in targets]
    return frozenset(
        target.name
        for target, artifact in zip(targets, artifacts, strict=True)
        if is_this_kind(target, measurement_backend_for(artifact, plugins))
    )


def is_this_kind(target: Target, measured_on: MeasurementBackend) -> bool:
    """True if a run on this machine says how fast an artifact is on the target.

    The backend and the device are the target's, and so is the machine, or where the target names none, the
    architecture of its processor.
    """
    if not runs_as_on_target(target, measured_on):
        return False
    if target.machine is not None:
        return target.machine in processor()
    return target.architecture in (None, architecture())


def architecture() -> str:
    """The architecture of this machine, in the words of `edgevision.target.ARCHITECTURES` if it is one."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def measured_slower(costs: Mapping[str, RunCosts]) -> IsSlower:
    """Compares artifacts that were timed in turn."""
    return lambda first, second: is_slower(costs[first], costs[second], SLOWER_SHARE)


def slower_text(first: RunCosts, other: str, second: RunCosts) -> str:
    """By how much the first is slower than another, such as ``2.6 times the time of onnx-float32 (…)``."""
    return (
        f"{slowdown(first, second):.1f} times the time of {other} on this machine "
        f"({first.latency_ms:.3g} ms against {second.latency_ms:.3g} ms)"
    )


def not_judged(targets: Sequence[Target]) -> str:
    """The note for targets whose candidates' speed was not judged."""
    names = ", ".join(target.name for target in targets)
    return (
        f"the speed of candidates for {names} was not judged: this machine ({processor()}, {architecture()}) "
        f"is another device; run edgevision bench on the device"
    )
