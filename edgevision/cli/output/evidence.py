"""Evidence as a table for people, shared by `convert` and `inspect`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from edgevision.calibration.findings import Coverage
from edgevision.cli.output.tables import echo_table, percent
from edgevision.evidence.records import Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.metrics.comparison import Metric
from edgevision.metrics.formatting import between, drop_of, in_unit, size


def echo_evidence(evidence: Evidence) -> None:
    """Print one row an artifact, its other metrics, and what a reader must know beside the figures."""
    facts = evidence.evaluation
    told = "with the truth" if facts.labelled else "without the truth, so agreement alone"
    click.echo(f"measured on {facts.images} images of {facts.name}, {told}")
    first = evidence.results[0].comparison
    metric = (first.metrics[0].name, "source's", "drop (95 %)") if first.metrics else ()
    header = (
        "artifact",
        "measured on",
        "size",
        "agreement (95 %)",
        *first.likeness,
        *metric,
        "largest difference",
        "verdict",
    )
    echo_table(header, [_row(result) for result in evidence.results])
    _echo_attempts(evidence)
    others = [(one.artifact, metric) for one in evidence.results for metric in one.comparison.metrics[1:]]
    if others:
        click.echo()
        echo_table(
            ("artifact", "metric", "value", "source's", "drop (95 %)"),
            [(artifact, metric.name, *_metric_cells(metric)) for artifact, metric in others],
        )
    _echo_operating_points(evidence)
    _echo_temperatures(evidence)
    notes = (note for one in evidence.results for note in one.comparison.notes)
    for note in dict.fromkeys([*evidence.notes, *notes]):
        click.echo(f"note: {note}")
    for finding in evidence.calibration_findings:
        click.echo(f"{finding.severity}: {finding.text}")
    if evidence.calibration_coverage is not None:
        click.echo(f"calibration: {_coverage(evidence.calibration_coverage)}")


def _echo_operating_points(evidence: Evidence) -> None:
    found = [
        (one.artifact, one.operating_point) for one in evidence.results if one.operating_point is not None
    ]
    if not found:
        return
    first = found[0][1]
    required = f"{first.metric} of at least {in_unit(first.at_least, 'share')}"
    click.echo(f"\noperating point of '{first.positive}': {required}, on {first.positives[1]} images of it")
    echo_table(
        (
            "artifact",
            "threshold",
            "figure",
            "value (95 %)",
            "source's",
            "calibration",
            "source's own threshold",
        ),
        [
            (
                artifact,
                f"{point.point.threshold:.4g}",
                metric.name,
                f"{percent(metric.artifact)} ({between(metric.artifact_interval, 'share')})",
                percent(metric.source),
                percent(learned.artifact),
                f"{point.source_point.threshold:.4g}",
            )
            for artifact, point in found
            for metric, learned in zip(point.point.evaluation, point.point.calibration, strict=True)
        ],
    )
    _echo_warnings([(artifact, point.warnings) for artifact, point in found])


def _echo_temperatures(evidence: Evidence) -> None:
    found = [(one.artifact, one.temperature) for one in evidence.results if one.temperature is not None]
    if not found:
        return
    rows = [(artifact, one.artifact) for artifact, one in found]
    rows.append(("the source", found[0][1].source))
    click.echo("\ncalibrated scores, before and after; lower is better")
    echo_table(
        ("artifact", "temperature", "calibration error", "after", "log-likelihood loss", "after"),
        [
            (
                name,
                f"{one.temperature:.4g}",
                percent(one.before.reliability.ece),
                percent(one.after.reliability.ece),
                f"{one.before.nll:.4f}",
                f"{one.after.nll:.4f}",
            )
            for name, one in rows
        ],
    )
    _echo_warnings([(artifact, one.warnings) for artifact, one in found])


def _echo_warnings(warnings: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    for artifact, texts in warnings:
        for text in texts:
            click.echo(f"warning: {artifact}: {text}")


def _coverage(coverage: Coverage) -> str:
    return (
        f"{percent(coverage.clipped)} of activations on {coverage.evaluation_images} evaluation images lie "
        f"beyond the ranges of {coverage.calibration_images} calibration images, whose halves' ranges differ "
        f"by {percent(coverage.unsteady)} in the median layer"
    )


def _echo_attempts(evidence: Evidence) -> None:
    """What the search has tried beside what it has found."""
    found = {result.artifact for result in evidence.results}
    dropped = [attempt for attempt in evidence.attempts if attempt.artifact not in found]
    for attempt in dropped:
        missed = ", ".join(
            _missed(requirement) for requirement in attempt.requirements if not requirement.passed
        )
        told = attempt.error or missed or "inside, but with more in float than need be"
        click.echo(f"tried {attempt.artifact}: {told}")
    for result in evidence.results:
        if result.float_layers:
            click.echo(f"{result.artifact} keeps in float: {', '.join(result.float_layers)}")


def _missed(requirement: Requirement) -> str:
    measured, limit = (
        in_unit(requirement.measured, requirement.unit),
        in_unit(requirement.limit, requirement.unit),
    )
    return f"{requirement.what} {measured}, limit {limit}"


def _row(result: Measured) -> tuple[str, ...]:
    comparison = result.comparison
    metrics = [cell for one in comparison.metrics[:1] for cell in _metric_cells(one)]
    likeness = [f"{value:.4g}" for value in comparison.likeness.values()]
    verdict = "pass" if result.passed else "FAIL"
    requirements = ", ".join(_required(requirement) for requirement in result.requirements)
    limits = between(comparison.agreement_interval, "share")
    return (
        result.artifact,
        _measured_on(result),
        size(result.size_bytes),
        percent(comparison.agreement) + (f" ({limits})" if limits else ""),
        *likeness,
        *metrics,
        f"{comparison.largest_difference:.2g}",
        f"{verdict} ({requirements})" if requirements else verdict,
    )


def _required(requirement: Requirement) -> str:
    """Such as ``agreement at least 95.00 %``; with what was measured where no column shows it."""
    bound = "at least" if requirement.at_least else "at most"
    shown = requirement.what in ("agreement", "size")
    measured = "" if shown else f" {in_unit(requirement.measured, requirement.unit)},"
    return f"{requirement.what}{measured} {bound} {in_unit(requirement.limit, requirement.unit)}"


def _metric_cells(metric: Metric) -> tuple[str, str, str]:
    return in_unit(metric.artifact, metric.unit), in_unit(metric.source, metric.unit), drop_of(metric)


def _measured_on(result: Measured) -> str:
    """Backend and device, and the precision of the float parts where the artifact's name does not tell it."""
    lowered = result.artifact.endswith(("float32", "float16")) and not result.artifact.endswith(
        result.precision
    )
    return f"{result.backend} {result.device}" + (f" in {result.precision}" if lowered else "")
