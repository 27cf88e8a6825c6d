"""The speed of candidates for a target: how it is known, and which of two is the slower one."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence

from edgevision.conversion.device_limits import is_this_machine, runs_as_on_target
from edgevision.conversion.latency_table import INTEGER, LatencyRow, latency_rows
from edgevision.conversion.plan import MeasurementBackend, PlannedArtifact, measurement_backend_for
from edgevision.execution.run_costs import RunCosts, is_slower, slowdown
from edgevision.plugins import Registry
from edgevision.system.machine import processor
from edgevision.target import Target

#: A candidate is slower than another if it needs this share more time, beyond noise.
SLOWER_SHARE = 0.10

#: How the speed of candidates is known: timed on this machine, from the table, or not at all.
TIMED, TABLE, UNKNOWN = "timed", "table", ""

#: True if the first of two artifacts is slower than the second; both by their ids.
IsSlower = Callable[[str, str], bool]


def speed_bases(targets: Sequence[Target], plugins: Registry) -> dict[str, str]:
    """Name of a target -> how the speed of its candidates is known."""
    return {target.name: _basis(target, plugins) for target in targets}


def _basis(target: Target, plugins: Registry) -> str:
    artifact = PlannedArtifact(target.format, target.precisions[0], (target,))
    if is_this_kind(target, measurement_backend_for(artifact, plugins)):
        return TIMED
    in_table = (target.architecture or "", target.backend, INTEGER) in latency_rows()
    return TABLE if in_table and target.device in (None, "cpu") else UNKNOWN


def is_this_kind(target: Target, measured_on: MeasurementBackend) -> bool:
    """True if a run on this machine says how fast an artifact is on the target.

    The backend and the device are the target's, and so is the machine, or where the target names none, the
    architecture of its processor.
    """
    if target.machine is not None:
        return is_this_machine(target, measured_on)
    return runs_as_on_target(target, measured_on) and target.architecture in (None, architecture())


def architecture() -> str:
    """The architecture of this machine, in the words of `edgevision.target.ARCHITECTURES` if it is one."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def measured_slower(costs: Mapping[str, RunCosts]) -> IsSlower:
    """Compares artifacts that were timed in turn."""
    return lambda first, second: is_slower(costs[first], costs[second], SLOWER_SHARE)


def tabled_slower(row: LatencyRow, precisions: Mapping[str, str]) -> IsSlower | None:
    """Compares artifacts by the table; `None` if it does not have all of their precisions.

    Args:
        row: of their architecture, backend and kind of network.
        precisions: id of an artifact -> its precision.
    """
    if not set(precisions.values()) <= row.ratios.keys():
        return None
    times = {name: row.ratio(precision) for name, precision in precisions.items()}
    return lambda first, second: times[first] > (1 + SLOWER_SHARE) * times[second]


def slower_text(first: RunCosts, other: str, second: RunCosts) -> str:
    """By how much the first is slower than another, such as ``2.6 times the time of onnx-float32 (…)``."""
    return (
        f"{slowdown(first, second):.1f} times the time of {other} on this machine "
        f"({first.latency_ms:.3g} ms against {second.latency_ms:.3g} ms)"
    )


def tabled_slower_text(row: LatencyRow, precision: str, other: str, other_precision: str) -> str:
    """By how much a precision is slower than another artifact, as the table has it."""
    ratio = row.ratio(precision) / row.ratio(other_precision)
    return f"{ratio:.1f} times the time of {other} by {table_name(row)}"


def table_name(row: LatencyRow) -> str:
    """The table with its origin, for the evidence."""
    return f"the package's latency table for {row.architecture}, measured on {row.machine}"


def not_judged(targets: Sequence[Target]) -> str:
    """The note for targets whose candidates' speed was not judged."""
    names = ", ".join(target.name for target in targets)
    return (
        f"the speed of candidates for {names} was not judged: this machine ({processor()}, {architecture()}) "
        f"is another device, and the package has no latency table for it; run edgevision bench on the device"
    )
