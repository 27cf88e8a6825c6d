"""Evidence: the measured comparison of every artifact of a bundle with its source.

The JSON is described for other programs by ``edgevision/schemas/evidence.schema.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.calibration.findings import Coverage, Finding
from edgevision.datasets.image_sets import SetFacts
from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.requirements import Requirement
from edgevision.evidence.temperatures import TemperatureEvidence
from edgevision.metrics.comparison import (
    Comparison,
)


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
        requirements: what was required, and whether it holds.
        float_layers: layers of the source that stayed in float, of ``int8-mixed``.
        operating_point: of a classifier, where one was required: what it reaches, with the curves.
        temperature: of a classifier whose scores were calibrated: how honest they are.
        latency_ms, peak_memory_mb: what a run of the network alone costs on the machine of the evidence, as
            `edgevision.execution.run_costs.RunCosts` has it; `None` where it was not measured.
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
    requirements: tuple[Requirement, ...]
    float_layers: tuple[str, ...] = ()
    operating_point: OperatingEvidence | None = None
    temperature: TemperatureEvidence | None = None
    latency_ms: float | None = None
    peak_memory_mb: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every requirement holds."""
        return all(requirement.passed for requirement in self.requirements)


@dataclass(frozen=True)
class Attempt:
    """A candidate that the search for a budget has tried.

    Attributes:
        artifact: its id.
        float_layers: layers of the source that stayed in float, the most sensitive first.
        size_bytes: of the artifact; 0 where it could not be made.
        agreement: with the source, 0…1.
        metrics: name -> what it reached.
        requirements: what was required, and whether it holds.
        error: why it could not be made.
    """

    artifact: str
    float_layers: tuple[str, ...]
    size_bytes: int = 0
    agreement: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, measured: Measured) -> Attempt:
        """What is kept of a candidate that was measured."""
        comparison = measured.comparison
        return cls(
            measured.artifact,
            measured.float_layers,
            measured.size_bytes,
            comparison.agreement,
            {metric.name: metric.artifact for metric in comparison.metrics},
            measured.requirements,
        )


@dataclass(frozen=True)
class Evidence:
    """All that was measured in one conversion.

    Attributes:
        created: when, UTC, ISO 8601.
        source_sha256: of the source.
        machine: what it was measured on.
        evaluation: the images that it was measured on.
        calibration: the images that set the activation ranges, and that thresholds and temperatures were
            found on; `None` where none were needed.
        results: one an artifact.
        notes: what a reader must know beside the figures.
        attempts: every candidate that the search for a budget has tried, in their order.
        sensitivities: format -> layers, the one first whose integers cost most, with the measured
            error; of the formats for which the search has asked.
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
    attempts: tuple[Attempt, ...] = ()
    sensitivities: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    calibration_findings: tuple[Finding, ...] = ()
    calibration_coverage: Coverage | None = None
