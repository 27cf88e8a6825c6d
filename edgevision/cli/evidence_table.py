"""Evidence as a table for people, shared by `convert` and `inspect`."""

from __future__ import annotations

import click

from edgevision.cli.tables import echo_table, percent, size
from edgevision.evaluation.calibration_facts import Coverage
from edgevision.evaluation.comparison import Metric
from edgevision.evaluation.evidence import Evidence, Measured


def echo_evidence(evidence: Evidence) -> None:
    """Print one row an artifact, and what a reader must know beside the figures."""
    facts = evidence.evaluation
    told = "with the truth" if facts.labelled else "without the truth, so agreement alone"
    click.echo(f"measured on {facts.images} images of {facts.name}, {told}")
    first = evidence.results[0].comparison
    metrics = [word for metric in first.metrics for word in (metric.name, "source's")]
    header = (
        "artifact",
        "measured on",
        "size",
        "agreement",
        *first.likeness,
        *metrics,
        "largest difference",
        "verdict",
    )
    echo_table(header, [_row(result) for result in evidence.results])
    for note in evidence.notes:
        click.echo(f"note: {note}")
    for finding in evidence.calibration_findings:
        click.echo(f"{finding.severity}: {finding.text}")
    if evidence.calibration_coverage is not None:
        click.echo(f"calibration: {_coverage(evidence.calibration_coverage)}")


def _coverage(coverage: Coverage) -> str:
    return (
        f"{percent(coverage.clipped)} of activations on {coverage.evaluation_images} evaluation images lie "
        f"beyond the ranges of {coverage.calibration_images} calibration images, whose halves' ranges differ "
        f"by {percent(coverage.unsteady)} in the median layer"
    )


def _row(result: Measured) -> tuple[str, ...]:
    comparison = result.comparison
    metrics = [_in_unit(value, one) for one in comparison.metrics for value in (one.artifact, one.source)]
    likeness = [f"{value:.4g}" for value in comparison.likeness.values()]
    verdict = "pass" if result.passed else "FAIL"
    return (
        result.artifact,
        _measured_on(result),
        size(result.size_bytes),
        percent(comparison.agreement),
        *likeness,
        *metrics,
        f"{comparison.largest_difference:.2g}",
        f"{verdict} (at least {percent(result.min_agreement)})",
    )


def _in_unit(value: float, metric: Metric) -> str:
    return f"{value:.2f} dB" if metric.unit == "dB" else percent(value)


def _measured_on(result: Measured) -> str:
    """Backend and device, and the precision of the float parts where the artifact's name does not tell it."""
    lowered = result.artifact.endswith(("float32", "float16")) and not result.artifact.endswith(
        result.precision
    )
    return f"{result.backend} {result.device}" + (f" in {result.precision}" if lowered else "")
