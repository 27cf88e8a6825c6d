"""Lines about an image set: its size, its groups, and how its images depend on each other."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.calibration.findings import Finding
from edgevision.cli.lines import echo_line
from edgevision.datasets.image_sets import SetFacts


def describe_set(facts: SetFacts) -> str:
    """Such as ``400 images of scans/``; of a set in groups, how many, and what the images are worth."""
    images, groups = f"{facts.images} images of {facts.name}", facts.groups
    if groups is None:
        return images
    return (
        f"{images} in {groups.groups} groups ({groups.source}), the largest of {groups.largest}, worth "
        f"{groups.effective_images:.4g} independent images or more"
    )


def echo_findings(findings: Sequence[Finding]) -> None:
    """Print notes and warnings, one per line."""
    for finding in findings:
        echo_line(f"{finding.severity}: {finding.text}")
