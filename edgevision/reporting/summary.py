"""The summary of the report: may each artifact be deployed, and how much did the conversion cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgevision.bundle.manifest import Manifest
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import FAILED, NOT_SHOWN, PASSED, Requirement
from edgevision.evidence.sample_texts import groups_text, images_text
from edgevision.metrics.comparison import Metric
from edgevision.metrics.formatting import comparison_methods, in_points, in_unit, level, span
from edgevision.target import Target

#: Status of an artifact without a requirement that it could miss.
NOT_REQUIRED = "not required"
#: Statuses, best first.
_ORDER = (PASSED, NOT_REQUIRED, NOT_SHOWN, FAILED)


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
    def status(self) -> str:
        """``passed``, ``failed``, ``not shown``; ``not required`` where every artifact would pass."""
        unlimited = all(row in self.unlimited for row in self.measured.requirements)
        return NOT_REQUIRED if unlimited else self.measured.status

    @property
    def unlimited(self) -> tuple[Requirement, ...]:
        """Requirements that every artifact meets."""
        return tuple(row for row in self.measured.requirements if row.at_least and row.limit <= 0)


@dataclass(frozen=True)
class Summary:
    """The first lines of the report.

    Attributes:
        status: of the artifacts, the worst one: ``passed``, ``not required``, ``not shown`` or ``failed``.
        headline: the result in one sentence.
        not_shown: for each requirement that the images do not show: what would be needed, in words.
        methods: of the intervals, as `methods_of`.
        cost: the largest loss of the artifacts, in one or two sentences.
        unverified: the artifacts that remain to be verified on the target; empty if there are none.
        warnings: warnings of the measurements and of the calibration set.
    """

    status: str
    headline: str
    not_shown: tuple[str, ...]
    cost: str
    unverified: str
    warnings: tuple[str, ...]
    methods: str


def mark(status: str) -> str:
    """The sign of a status: a tick for what was shown alone."""
    return {PASSED: "✓", FAILED: "✗", NOT_SHOWN: "?"}.get(status, "-")


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
    return Summary(
        status=max((row.status for row in artifacts), key=_ORDER.index),
        headline=_headline(artifacts, evidence),
        not_shown=tuple(_not_shown(evidence, artifacts)),
        cost=_cost(evidence, artifacts),
        unverified=_unverified(artifacts),
        warnings=tuple(_warnings(evidence)),
        methods=comparison_methods(row.measured.comparison for row in artifacts),
    )


def _warnings(evidence: Evidence) -> Iterator[str]:
    for result in evidence.results:
        for calibrated in (result.operating_point, result.temperature, result.prediction_sets):
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


def _headline(artifacts: Sequence[ArtifactStatus], evidence: Evidence) -> str:
    names = {
        status: [row.measured.artifact for row in artifacts if row.status == status] for status in _ORDER
    }
    if names[FAILED]:
        return f"Do not deploy: {_do_not(names[FAILED])} meet every requirement."
    if names[NOT_SHOWN]:
        examples = f"{evidence.evaluation.images} {_examples(evidence.evaluation.name)}"
        return f"Not shown: {examples} do not show that {_meets(names[NOT_SHOWN])} every requirement."
    if names[NOT_REQUIRED]:
        return f"Nothing was required of {', '.join(names[NOT_REQUIRED])}."
    if len(artifacts) == 1:
        return f"{artifacts[0].measured.artifact} meets every requirement."
    if len(artifacts) == 2:
        return "Both artifacts meet every requirement."
    return f"All {len(artifacts)} artifacts meet every requirement."


def _do_not(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not"


def _meets(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'meets' if len(names) == 1 else 'meet'}"


def _not_shown(evidence: Evidence, artifacts: Sequence[ArtifactStatus]) -> Iterator[str]:
    for row in artifacts:
        for one in row.measured.requirements:
            if one.status != NOT_SHOWN:
                continue
            worst = "no interval could be computed" if one.bound is None else f"at worst {one.bound_text}"
            needed = images_text(one.images_needed, evidence.evaluation)
            yield (
                f"{row.measured.artifact}: {one.what} {one.measured_text}, {worst} (required: "
                f"{one.required_text})."
                + (f" {needed.capitalize()} like these would show it." if needed else "")
            )


def _unverified(artifacts: Sequence[ArtifactStatus]) -> str:
    count = sum(not row.verified for row in artifacts)
    if count == 0:
        return ""
    if len(artifacts) == 1:
        return "Not yet verified on the target."
    return f"Not yet verified on the target: {count} of {len(artifacts)} artifacts."


def _cost(evidence: Evidence, artifacts: Sequence[ArtifactStatus]) -> str:
    metrics = [row.metric for row in artifacts if row.metric is not None]
    if not metrics:
        return _agreement_cost(evidence, artifacts)
    source, worst = metrics[0], max(metrics, key=lambda metric: metric.largest_drop)
    values = span([metric.artifact for metric in metrics], source.unit)
    limits = [limit for row in artifacts for limit in row.measured.drop_limits]
    cost = (
        f"On {_evaluated(evidence)}, the source model reaches {_with_article(source.name)} of "
        f"{in_unit(source.source, source.unit)}, {_the_artifacts(len(artifacts))} {values}."
    )
    if any(metric.drop_interval is None for metric in metrics) or worst.drop_interval is None:
        return f"{cost} The images give no confidence interval of the drop, so that they rule no drop out."
    return (
        f"{cost} The largest drop within the {level(worst.drop_interval.confidence)} confidence interval is "
        f"{in_points(worst.largest_drop, worst.unit, limits)}."
    )


def _agreement_cost(evidence: Evidence, artifacts: Sequence[ArtifactStatus]) -> str:
    comparisons = [row.measured.comparison for row in artifacts]
    agreement = span([comparison.agreement for comparison in comparisons], "share")
    worst = min(comparisons, key=lambda comparison: comparison.least_agreement)
    limits = [limit for row in artifacts for limit in row.measured.agreement_limits]
    cost = (
        f"On {_evaluated(evidence)} without ground truth, the agreement of {_the_artifacts(len(artifacts))} "
        f"with the source is {agreement}."
    )
    if any(one.agreement_interval is None for one in comparisons) or worst.agreement_interval is None:
        return f"{cost} The evidence has no confidence interval of it."
    return (
        f"{cost} The lowest agreement within the {level(worst.agreement_interval.confidence)} confidence "
        f"interval is {in_unit(worst.least_agreement, 'share', limits)}."
    )


def _evaluated(evidence: Evidence) -> str:
    facts = evidence.evaluation
    return f"{facts.images} evaluation {_examples(facts.name)}{groups_text(facts)}"


def _examples(name: str) -> str:
    return "seeds" if name.startswith("seeds ") else "images"


def _the_artifacts(count: int) -> str:
    return "the artifact" if count == 1 else "the artifacts"


def _with_article(metric: str) -> str:
    vowel_sound = metric.startswith(("a", "e", "i", "o", "u", "mAP", "F1", "SSIM"))
    return f"an {metric}" if vowel_sound else f"a {metric}"
