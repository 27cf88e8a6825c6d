"""Evidence: the measured comparison of every artifact of a bundle with its source.

The JSON is described for other programs by ``edgevision/schemas/evidence.schema.json``.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import BundleError
from edgevision.evaluation.calibration_facts import Coverage, Finding, coverage_from, finding_from
from edgevision.evaluation.comparison import Comparison, Metric

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class SetFacts:
    """A calibration or evaluation set as it was used.

    Attributes:
        name: where it was read from.
        images: how many.
        sha256: digest over the contents of all.
        labelled: whether the class of each image is known.
        left_out: images that were left out because the calibration set holds them as well.
    """

    name: str
    images: int
    sha256: str
    labelled: bool
    left_out: int = 0


@dataclass(frozen=True)
class Measured:
    """One artifact, measured on one backend and device.

    Attributes:
        artifact: its id in the bundle.
        sha256: of the artifact.
        size_bytes: of the artifact.
        backend, version, device, precision: what it ran on, and in which precision its float
            parts were computed.
        on_target: whether that is the backend and device that its targets name.
        comparison: what was measured.
        min_agreement: what was demanded.
    """

    artifact: str
    sha256: str
    size_bytes: int
    backend: str
    version: str
    device: str
    precision: str
    on_target: bool
    comparison: Comparison
    min_agreement: float

    @property
    def passed(self) -> bool:
        """Whether it agrees with its source as closely as was demanded."""
        return self.comparison.agreement >= self.min_agreement


@dataclass(frozen=True)
class Evidence:
    """All that was measured in one conversion.

    Attributes:
        created: when, UTC, ISO 8601.
        source_sha256: of the source.
        machine: what it was measured on.
        evaluation: the images that it was measured on.
        calibration: the images that set the activation ranges, `None` where none were needed.
        results: one an artifact.
        notes: what a reader must know beside the figures.
        calibration_findings: what was found in the calibration set.
        calibration_coverage: how well its ranges hold; `None` where that was not measured.
    """

    created: str
    source_sha256: str
    machine: Mapping[str, Any]
    evaluation: SetFacts
    calibration: SetFacts | None
    results: tuple[Measured, ...]
    notes: tuple[str, ...] = ()
    calibration_findings: tuple[Finding, ...] = ()
    calibration_coverage: Coverage | None = None


def evidence_json(evidence: Evidence) -> str:
    """The text of ``evidence.json``."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(evidence)}
    for row, result in zip(document["results"], evidence.results, strict=True):
        for document_metric, metric in zip(
            row["comparison"]["metrics"], result.comparison.metrics, strict=True
        ):
            document_metric["drop"] = metric.drop
        row["passed"] = result.passed
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def read_evidence(text: str, where: str) -> Evidence:
    """Read the text of an ``evidence.json``.

    Raises:
        BundleError: it is no such file, or its schema version is unknown.
    """
    try:
        document = json.loads(text)
        version = document.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise BundleError(f"{where}: schema version {version}, this release reads {SCHEMA_VERSION}")
        calibration = document.pop("calibration")
        return Evidence(
            evaluation=SetFacts(**document.pop("evaluation")),
            calibration=None if calibration is None else SetFacts(**calibration),
            results=tuple(_measured(row) for row in document.pop("results")),
            notes=tuple(document.pop("notes")),
            calibration_findings=tuple(map(finding_from, document.pop("calibration_findings"))),
            calibration_coverage=coverage_from(document.pop("calibration_coverage")),
            **document,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{where}: is no evidence that this release reads: {error}") from error


def _measured(row: dict[str, Any]) -> Measured:
    comparison = dict(row.pop("comparison"))
    metrics = tuple(_metric(one) for one in comparison.pop("metrics"))
    del row["passed"]
    return Measured(comparison=Comparison(metrics=metrics, **comparison), **row)


def _metric(row: dict[str, Any]) -> Metric:
    del row["drop"]
    return Metric(**row)


def this_machine() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, system, Python."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else platform.processor()
