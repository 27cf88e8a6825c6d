"""Evidence as a table for people, shared by `convert` and `inspect`."""

from __future__ import annotations

import click

from edgevision.cli.tables import echo_table, percent, size
from edgevision.evaluation.evidence import Evidence, Measured

_HEADER = (
    "artifact",
    "measured on",
    "size",
    "agreement",
    "accuracy",
    "source's",
    "largest difference",
    "verdict",
)


def echo_evidence(evidence: Evidence) -> None:
    """Print one row an artifact, and what a reader must know beside the figures."""
    images = evidence.evaluation.images
    labelled = "labelled" if evidence.evaluation.labelled else "without labels, so no accuracy"
    click.echo(f"measured on {images} images of {evidence.evaluation.name}, {labelled}")
    echo_table(_HEADER, [_row(result) for result in evidence.results])
    for note in evidence.notes:
        click.echo(f"note: {note}")


def _row(result: Measured) -> tuple[str, ...]:
    comparison = result.comparison
    verdict = "pass" if result.passed else "FAIL"
    return (
        result.artifact,
        _measured_on(result),
        size(result.size_bytes),
        percent(comparison.agreement),
        percent(comparison.accuracy),
        percent(comparison.source_accuracy),
        f"{comparison.largest_difference:.2g}",
        f"{verdict} (at least {percent(result.min_agreement)})",
    )


def _measured_on(result: Measured) -> str:
    """Backend and device, and the precision of the float parts where the artifact's name does not tell it."""
    lowered = result.artifact.endswith(("float32", "float16")) and not result.artifact.endswith(
        result.precision
    )
    return f"{result.backend} {result.device}" + (f" in {result.precision}" if lowered else "")
