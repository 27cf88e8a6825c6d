"""What a reviewer asks first: may each artifact be used on its device, and what did it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgevision.bundle.manifest import Manifest
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Metric
from edgevision.metrics.formatting import in_unit
from edgevision.target import Target


@dataclass(frozen=True)
class ArtifactStatus:
    """How an artifact stands.

    Attributes:
        measured: all that was measured of it.
        targets: the devices that it was made for.
        here: whether what was measured ran on such a device, or on a machine that its profile fits.
        where: what it ran on, and what is still to be done, in words.
    """

    measured: Measured
    targets: tuple[str, ...]
    here: bool
    where: str

    @property
    def metric(self) -> Metric | None:
        """The task's first metric; `None` where the truth is not known."""
        metrics = self.measured.comparison.metrics
        return metrics[0] if metrics else None

    @property
    def unlimited(self) -> tuple[Requirement, ...]:
        """Requirements that anything meets."""
        return tuple(one for one in self.measured.requirements if one.at_least and one.limit <= 0)


@dataclass(frozen=True)
class Summary:
    """The first lines of the report.

    Attributes:
        passed: whether every artifact is inside every limit.
        headline: that, in words.
        cost: what the artifacts lost at most, in words.
        proviso: what is to be done before the artifacts are used, in words; empty if nothing is.
        warnings: what a reader must know although every limit holds.
    """

    passed: bool
    headline: str
    cost: str
    proviso: str
    warnings: tuple[str, ...]


def artifact_statuses(
    evidence: Evidence, manifest: Manifest, known: Mapping[str, Target]
) -> tuple[ArtifactStatus, ...]:
    """How each artifact stands, in the order of the evidence.

    Args:
        evidence, manifest: of the bundle.
        known: target profiles by name; one that this machine does not know is taken as it is named.
    """
    made_for = {entry.id: entry.targets for entry in manifest.artifacts}
    processor = str(evidence.machine.get("processor", ""))
    return tuple(
        _artifact_status(result, made_for.get(result.artifact, ()), processor, known)
        for result in evidence.results
    )


def summary(evidence: Evidence, found: Sequence[ArtifactStatus]) -> Summary:
    """The first lines of the report."""
    missed = [one.measured.artifact for one in found if not one.measured.passed]
    elsewhere = [one for one in found if not one.here]
    proviso = ""
    if elsewhere:
        told = _counted(len(elsewhere), len(found))
        proviso = f"{told} not measured on the device itself. Before use, run there:"
    return Summary(
        not missed, _headline(found, missed), _cost(evidence, found), proviso, tuple(_warnings(evidence))
    )


def _warnings(evidence: Evidence) -> Iterator[str]:
    for result in evidence.results:
        for reading in (result.operating_point, result.temperature):
            if reading is not None:
                yield from (f"{result.artifact}: {text}" for text in reading.warnings)
    for finding in evidence.calibration_findings:
        if finding.severity == "warning":
            yield f"calibration set, {finding.check}: {finding.text}"


def unverified_limits(evidence: Evidence) -> tuple[str, ...]:
    """Which of a device's limits no artifact was held against."""
    held = {requirement.what for one in evidence.results for requirement in one.requirements}
    return tuple(what for what in ("size", "latency", "memory") if what not in held)


def _artifact_status(
    result: Measured, targets: tuple[str, ...], processor: str, known: Mapping[str, Target]
) -> ArtifactStatus:
    ran = f"{result.backend} {result.device}"
    if not result.on_target:
        return ArtifactStatus(
            result, targets, False, f"{ran} in its stead: the runtime or device of its target was not here"
        )
    machines = {name: known[name].machine for name in targets if name in known}
    others = [name for name, machine in machines.items() if machine is not None and machine not in processor]
    if others or len(machines) < len(targets):
        return ArtifactStatus(result, targets, False, f"{ran}, on another machine")
    return ArtifactStatus(result, targets, True, f"{ran}, as its target asks")


def _headline(found: Sequence[ArtifactStatus], missed: Sequence[str]) -> str:
    if missed:
        return f"{', '.join(missed)}: outside a stated limit. Do not use."
    if len(found) == 1:
        return f"{found[0].measured.artifact} is inside every stated limit."
    if len(found) == 2:
        return "Both artifacts are inside every stated limit."
    return f"All {len(found)} artifacts are inside every stated limit."


def _cost(evidence: Evidence, found: Sequence[ArtifactStatus]) -> str:
    facts = evidence.evaluation
    metrics = [one.metric for one in found if one.metric is not None]
    if not metrics:
        return _agreement_cost(evidence, found)
    source = metrics[0]
    reached = _span([metric.artifact for metric in metrics], source.unit)
    worst = max(metric.largest_drop for metric in metrics)
    return (
        f"On {facts.images} {_things(facts.name)} the source reaches {_name(source.name)} of "
        f"{in_unit(source.source, source.unit)}, what was made of it for devices {reached}. "
        f"The largest loss that these images do not rule out (95 %) is {in_points(worst, source.unit)}."
    )


def _agreement_cost(evidence: Evidence, found: Sequence[ArtifactStatus]) -> str:
    facts = evidence.evaluation
    comparisons = [one.measured.comparison for one in found]
    agreed = _span([one.agreement for one in comparisons], "share")
    least = min(one.least_agreement for one in comparisons)
    return (
        f"On {facts.images} {_things(facts.name)}, whose truth is not known, the artifacts agree with "
        f"the source by {agreed}; as little as {in_unit(least, 'share')} is not ruled out (95 %)."
    )


def distance(requirement: Requirement) -> str:
    """How far inside its limit something is, such as ``4.83 points``; below 0 outside."""
    inside = (
        requirement.measured - requirement.limit
        if requirement.at_least
        else requirement.limit - requirement.measured
    )
    return (
        in_points(inside, requirement.unit)
        if requirement.unit in ("share", "dB")
        else in_unit(inside, requirement.unit)
    )


def in_points(value: float, unit: str) -> str:
    """A loss, such as ``0.97 points`` or ``0.12 dB``."""
    return f"{value:.2f} dB" if unit == "dB" else f"{100 * value + 0.0:.2f} points"


def _span(values: Sequence[float], unit: str) -> str:
    low, high = in_unit(min(values), unit), in_unit(max(values), unit)
    return low if low == high else f"{low} to {high}"


def _things(name: str) -> str:
    return "seeds" if name.startswith("seeds ") else "images"


def _name(metric: str) -> str:
    return f"an {metric}" if metric[0] in "aeiou" else f"a {metric}"


def _counted(count: int, total: int) -> str:
    if count == total:
        return "It was" if total == 1 else "They were"
    return f"{count} of {total} artifacts {'was' if count == 1 else 'were'}"
