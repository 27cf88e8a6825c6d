"""Evidence as tables, printed by `convert` and `inspect`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from edgevision.calibration.findings import Coverage
from edgevision.cli.output.tables import echo_table, percent
from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.operating_texts import operating_cost
from edgevision.evidence.records import Attempt, Evidence, Measured
from edgevision.evidence.requirements import Requirement
from edgevision.evidence.temperatures import log_loss_change
from edgevision.metrics.comparison import ClassifyDetails, Metric
from edgevision.metrics.formatting import (
    between,
    calibrated_error,
    calibration_error,
    drop_of,
    in_unit,
    size,
    with_interval,
)


def echo_evidence(evidence: Evidence) -> None:
    """Print one row per artifact, then its other metrics, notes, warnings and calibration findings."""
    facts = evidence.evaluation
    labels = "with ground truth" if facts.labelled else "without ground truth: agreement only"
    click.echo(f"measured on {facts.images} images of {facts.name}, {labels}")
    first = evidence.results[0].comparison
    metric = (first.metrics[0].name, "source", "drop (95 % CI)") if first.metrics else ()
    header = (
        "artifact",
        "runs on",
        "size",
        "agreement (95 % CI)",
        *first.likeness,
        *metric,
        "max. difference",
        "latency (CPU)",
        "result",
    )
    echo_table(header, [_row(result) for result in evidence.results])
    _echo_attempts(evidence)
    others = [
        (result.artifact, metric) for result in evidence.results for metric in result.comparison.metrics[1:]
    ]
    if others:
        click.echo()
        echo_table(
            ("artifact", "metric", "value", "source", "drop (95 % CI)"),
            [(artifact, metric.name, *_metric_cells(metric)) for artifact, metric in others],
        )
    _echo_operating_points(evidence)
    _echo_temperatures(evidence)
    for missing in evidence.missing:
        click.echo(f"missing: {missing.artifact} for {', '.join(missing.targets)}: {missing.reason}")
    for result in evidence.results:
        if result.quantization is not None:
            for note in result.quantization.notes:
                click.echo(f"{result.artifact}: {note}")
    _echo_worst_labels(evidence)
    notes = (note for result in evidence.results for note in result.comparison.notes)
    for note in dict.fromkeys([*evidence.notes, *notes]):
        click.echo(f"note: {note}")
    for finding in evidence.calibration_findings:
        click.echo(f"{finding.severity}: {finding.text}")
    if evidence.calibration_coverage is not None:
        click.echo(f"calibration: {_coverage(evidence.calibration_coverage)}")


def _echo_operating_points(evidence: Evidence) -> None:
    points = [
        (result.artifact, result.operating_point)
        for result in evidence.results
        if result.operating_point is not None
    ]
    if not points:
        return
    first = points[0][1]
    required = f"{first.metric} of at least {in_unit(first.at_least, 'share')} {first.guarantee}"
    images = f"{first.positives[1]} images of '{first.positive}'"
    click.echo(f"\noperating point of '{first.positive}': {required}, measured on {images}")
    limit = f"lower {100 * first.limit_confidence:g} % limit"
    echo_table(
        ("artifact", "threshold", "metric", "value (95 % CI)", limit, "source", "on calibration set"),
        [
            (
                artifact,
                f"{point.point.threshold:.4g}",
                metric.name,
                f"{percent(metric.artifact)} ({between(metric.artifact_interval, 'share')})",
                _lower_limit(point, metric.name),
                percent(metric.source),
                percent(calibration.artifact),
            )
            for artifact, point in points
            for metric, calibration in zip(point.point.evaluation, point.point.calibration, strict=True)
        ],
    )
    for name, point in points:
        click.echo(f"{name}: {operating_cost(point)}")
    click.echo(f"source: {operating_cost(first, of_source=True)}")
    _echo_warnings([(artifact, point.warnings) for artifact, point in points])


def _lower_limit(point: OperatingEvidence, metric: str) -> str:
    """The limit that is judged, beside the metric that was required."""
    known = point.lower_limits is not None and metric == point.metric
    return percent(point.lower_limits[1]) if known and point.lower_limits else ""


def _echo_temperatures(evidence: Evidence) -> None:
    temperatures = [
        (result.artifact, result.temperature) for result in evidence.results if result.temperature is not None
    ]
    if not temperatures:
        return
    rows = [(artifact, fitted.artifact) for artifact, fitted in temperatures]
    rows.append(("source", temperatures[0][1].source))
    click.echo("\ncalibrated scores, before and after temperature scaling (lower is better)")
    echo_table(
        ("artifact", "temperature", "log loss before", "after", "change (95 % CI)"),
        [
            (
                name,
                f"{fit.temperature:.4g}",
                f"{fit.before.nll:.4f}",
                f"{fit.after.nll:.4f}",
                log_loss_change(fit),
            )
            for name, fit in rows
        ],
    )
    echo_table(
        ("artifact", "calibration error (ECE) before", "after", "of a perfectly calibrated model, after"),
        [
            (
                name,
                calibration_error(fit.before.reliability),
                calibration_error(fit.after.reliability),
                calibrated_error(fit.after.reliability),
            )
            for name, fit in rows
        ],
    )
    _echo_warnings([(artifact, fitted.warnings) for artifact, fitted in temperatures])


def _echo_worst_labels(evidence: Evidence) -> None:
    """Print the label that each artifact decides differently most often, for independent scores."""
    for result in evidence.results:
        details = result.comparison.details
        if isinstance(details, ClassifyDetails) and details.by_label:
            worst = details.by_label[0]
            click.echo(
                f"{result.artifact}: the lowest agreement of a label is that of '{worst.label}', "
                f"{with_interval(worst.agreement, worst.interval, 'share')}: "
                f"{worst.lost} lost, {worst.gained} gained"
            )


def _echo_warnings(warnings: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    for artifact, texts in warnings:
        for text in texts:
            click.echo(f"warning: {artifact}: {text}")


def _coverage(coverage: Coverage) -> str:
    return (
        f"{percent(coverage.clipped)} of activations on {coverage.evaluation_images} evaluation images lie "
        f"outside the ranges of {coverage.calibration_images} calibration images; ranges of its two halves "
        f"differ by {percent(coverage.unsteady)} in the median layer"
    )


def _echo_attempts(evidence: Evidence) -> None:
    """Print the candidates that the search tried and rejected, and the layers that stay in float."""
    written = {result.artifact for result in evidence.results}
    rejected = [attempt for attempt in evidence.attempts if attempt.artifact not in written]
    for attempt in rejected:
        missed = ", ".join(
            _missed(requirement) for requirement in attempt.requirements if not requirement.passed
        )
        reason = attempt.error or missed or attempt.slower or f"within the budget, but {_outdone(attempt)}"
        click.echo(f"rejected {attempt.artifact}: {reason}")
    for result in evidence.results:
        if result.float_layers:
            click.echo(f"{result.artifact} keeps these layers in float: {', '.join(result.float_layers)}")


def _outdone(attempt: Attempt) -> str:
    """The reason why a candidate within the budget was not chosen."""
    if attempt.float_layers:
        return "with more float layers than necessary"
    return "a cheaper one was chosen" if attempt.latency_ms is None else "a cheaper one is as fast"


def _missed(requirement: Requirement) -> str:
    return f"{_limited(requirement)} {requirement.measured_text}, limit {requirement.limit_text}"


def _limited(requirement: Requirement) -> str:
    """The limited quantity. A drop's measured value is not the drop, which a column shows beside it."""
    is_drop = requirement.what.startswith("drop in ")
    return f"{requirement.what} (upper 95 % limit)" if is_drop else requirement.what


def _row(result: Measured) -> tuple[str, ...]:
    comparison = result.comparison
    metrics = [cell for metric in comparison.metrics[:1] for cell in _metric_cells(metric)]
    likeness = [f"{value:.4g}" for value in comparison.likeness.values()]
    status = "pass" if result.passed else "FAIL"
    requirements = ", ".join(_required(requirement) for requirement in result.requirements)
    limits = between(comparison.agreement_interval, "share")
    return (
        result.artifact,
        _runs_on(result),
        size(result.size_bytes),
        percent(comparison.agreement) + (f" ({limits})" if limits else ""),
        *likeness,
        *metrics,
        f"{comparison.largest_difference:.2g}",
        _latency(result),
        f"{status} ({requirements})" if requirements else status,
    )


def _latency(result: Measured) -> str:
    """Such as ``0.31 ms (0.30)``: the median wall time of a run, and the CPU time of all threads."""
    if result.latency_ms is None:
        return "not measured"
    cpu = "" if result.timing is None else f" ({result.timing.cpu_ms:.3g})"
    return f"{result.latency_ms:.3g} ms{cpu}"


def _required(requirement: Requirement) -> str:
    """Such as ``agreement at least 95.00 %``; with the measured value if no column shows it."""
    bound = "at least" if requirement.at_least else "at most"
    shown = requirement.what in ("agreement", "size")
    measured = "" if shown else f" {requirement.measured_text},"
    return f"{_limited(requirement)}{measured} {bound} {requirement.limit_text}"


def _metric_cells(metric: Metric) -> tuple[str, str, str]:
    return in_unit(metric.artifact, metric.unit), in_unit(metric.source, metric.unit), drop_of(metric)


def _runs_on(result: Measured) -> str:
    """Backend and device, and the compute precision if it is lower than the artifact's name says."""
    lowered = result.artifact.endswith(("float32", "float16")) and not result.artifact.endswith(
        result.precision
    )
    return f"{result.backend} {result.device}" + (f" in {result.precision}" if lowered else "")
