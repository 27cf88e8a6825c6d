"""The summary of the report: may each artifact be deployed, and how much did the conversion cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgevision.bundle.manifest import Manifest
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Metric
from edgevision.metrics.formatting import in_points, in_unit
from edgevision.target import Target


@dataclass(frozen=True)
class ArtifactStatus:
    """One row of the summary.

    Attributes:
        measured: measurements of the artifact.
        targets: devices that the artifact was converted for.
        verified: whether the measurements ran on a machine that matches every target profile.
        where: backend and device of the measurements, and how they relate to the target.
    """

    measured: Measured
    targets: tuple[str, ...]
    verified: bool
    where: str

    @property
    def metric(self) -> Metric | None:
        """The task's main metric; `None` without ground truth."""
        metrics = self.measured.comparison.metrics
        return metrics[0] if metrics else None

    @property
    def unlimited(self) -> tuple[Requirement, ...]:
        """Requirements that every artifact meets."""
        return tuple(row for row in self.measured.requirements if row.at_least and row.limit <= 0)


@dataclass(frozen=True)
class Summary:
    """The first lines of the report.

    Attributes:
        passed: whether every artifact meets every requirement.
        headline: the result in one sentence.
        cost: the largest loss of the artifacts, in one or two sentences.
        unverified: the artifacts that remain to be verified on the target; empty if there are none.
        warnings: warnings of the measurements and of the calibration set.
    """

    passed: bool
    headline: str
    cost: str
    unverified: str
    warnings: tuple[str, ...]


def artifact_statuses(
    evidence: Evidence, manifest: Manifest, known: Mapping[str, Target]
) -> tuple[ArtifactStatus, ...]:
    """The status of each artifact, in the order of the evidence.

    Args:
        evidence, manifest: of the bundle.
        known: target profiles by name. A target without a profile here counts as another machine.
    """
    targets = {entry.id: entry.targets for entry in manifest.artifacts}
    processor = str(evidence.machine.get("processor", ""))
    return tuple(
        _artifact_status(result, targets.get(result.artifact, ()), processor, known)
        for result in evidence.results
    )


def summary(evidence: Evidence, artifacts: Sequence[ArtifactStatus]) -> Summary:
    """The first lines of the report."""
    failed = [row.measured.artifact for row in artifacts if not row.measured.passed]
    return Summary(
        passed=not failed,
        headline=_headline(artifacts, failed),
        cost=_cost(evidence, artifacts),
        unverified=_unverified(artifacts),
        warnings=tuple(_warnings(evidence)),
    )


def _warnings(evidence: Evidence) -> Iterator[str]:
    for result in evidence.results:
        for calibrated in (result.operating_point, result.temperature):
            if calibrated is not None:
                yield from (f"{result.artifact}: {text}" for text in calibrated.warnings)
    for finding in evidence.calibration_findings:
        if finding.severity == "warning":
            yield f"{finding.subject} ({finding.check}): {finding.text}"


def unchecked_limits(evidence: Evidence) -> tuple[str, ...]:
    """The limits of a target that were checked for no artifact."""
    checked = {requirement.what for result in evidence.results for requirement in result.requirements}
    return tuple(what for what in ("size", "latency", "memory") if what not in checked)


def _artifact_status(
    result: Measured, targets: tuple[str, ...], processor: str, known: Mapping[str, Target]
) -> ArtifactStatus:
    ran = f"{result.backend} {result.device}"
    if not result.on_target:
        return ArtifactStatus(
            result, targets, False, f"{ran}, because the target's runtime or device was not available"
        )
    machines = {name: known[name].machine for name in targets if name in known}
    others = [name for name, machine in machines.items() if machine is not None and machine not in processor]
    if others or len(machines) < len(targets):
        return ArtifactStatus(result, targets, False, f"{ran}, not on the target")
    return ArtifactStatus(result, targets, True, f"{ran}, on the target")


def _headline(artifacts: Sequence[ArtifactStatus], failed: Sequence[str]) -> str:
    if failed:
        verb = "does" if len(failed) == 1 else "do"
        return f"Do not deploy: {', '.join(failed)} {verb} not meet every requirement."
    if len(artifacts) == 1:
        return f"{artifacts[0].measured.artifact} meets every requirement."
    if len(artifacts) == 2:
        return "Both artifacts meet every requirement."
    return f"All {len(artifacts)} artifacts meet every requirement."


def _unverified(artifacts: Sequence[ArtifactStatus]) -> str:
    count = sum(not row.verified for row in artifacts)
    if count == 0:
        return ""
    if len(artifacts) == 1:
        return "Not yet verified on the target."
    return f"Not yet verified on the target: {count} of {len(artifacts)} artifacts."


def _cost(evidence: Evidence, artifacts: Sequence[ArtifactStatus]) -> str:
    facts = evidence.evaluation
    metrics = [row.metric for row in artifacts if row.metric is not None]
    if not metrics:
        return _agreement_cost(evidence, artifacts)
    source = metrics[0]
    values = _span([metric.artifact for metric in metrics], source.unit)
    worst = max(metric.largest_drop for metric in metrics)
    return (
        f"On {facts.images} evaluation {_examples(facts.name)}, the source model reaches "
        f"{_with_article(source.name)} of {in_unit(source.source, source.unit)}, "
        f"{_the_artifacts(len(artifacts))} {values}. The largest drop within the 95 % confidence interval "
        f"is {in_points(worst, source.unit)}."
    )


def _agreement_cost(evidence: Evidence, artifacts: Sequence[ArtifactStatus]) -> str:
    facts = evidence.evaluation
    comparisons = [row.measured.comparison for row in artifacts]
    agreement = _span([comparison.agreement for comparison in comparisons], "share")
    least = min(comparison.least_agreement for comparison in comparisons)
    return (
        f"On {facts.images} evaluation {_examples(facts.name)} without ground truth, the agreement of "
        f"{_the_artifacts(len(artifacts))} with the source is {agreement}. The lowest agreement within the "
        f"95 % confidence interval is {in_unit(least, 'share')}."
    )


def _span(values: Sequence[float], unit: str) -> str:
    low, high = in_unit(min(values), unit), in_unit(max(values), unit)
    return low if low == high else f"{low} to {high}"


def _examples(name: str) -> str:
    return "seeds" if name.startswith("seeds ") else "images"


def _the_artifacts(count: int) -> str:
    return "the artifact" if count == 1 else "the artifacts"


def _with_article(metric: str) -> str:
    vowel_sound = metric.startswith(("a", "e", "i", "o", "u", "mAP", "F1", "SSIM"))
    return f"an {metric}" if vowel_sound else f"a {metric}"
