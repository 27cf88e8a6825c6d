"""Evidence: the measured comparison of every artifact of a bundle with its source.

The JSON is described for other programs by ``edgevision/schemas/evidence.schema.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgevision.bundle.provenance import Provenance
from edgevision.calibration.findings import Coverage, Finding
from edgevision.datasets.image_sets import SetFacts
from edgevision.evidence.attention import AttentionDrift, AttentionReference
from edgevision.evidence.operating_points import OperatingEvidence
from edgevision.evidence.prediction_sets import PredictionSetEvidence
from edgevision.evidence.quantization import QuantizationEvidence
from edgevision.evidence.requirements import PASSED, Requirement, status_of
from edgevision.evidence.temperatures import TemperatureEvidence
from edgevision.evidence.training_input import TrainingInputEvidence
from edgevision.execution.run_costs import Timing
from edgevision.metrics.comparison import Comparison


@dataclass(frozen=True)
class Measured:
    """Measurements of one artifact on one backend and device.

    Attributes:
        artifact: id in the bundle.
        sha256, size_bytes: of the artifact's files.
        backend, version, device: where it ran.
        precision: precision in which its float operations were computed.
        on_target: whether backend and device are those that its targets name.
        comparison: artifact and source on the evaluation set.
        requirements: limits and measured values.
        output_error: of an artifact in float, where nothing else is asked for: the numeric tolerance on its
            outputs on up to 100 evaluation images; where it is missed, the agreement is required instead.
        float_layers: layers of the source that ``int8-mixed`` kept in float.
        quantization: how an int8 artifact was quantized, and whether the plain converter's was better; `None`
            if its converter does not say.
        operating_point: metrics and curves at the operating point of a classifier, where one was required.
        temperature: calibration error of a classifier whose scores were calibrated.
        prediction_sets: coverage of a classifier's prediction sets, where they were required.
        attention: how far its answers rest on other parts of the images than the source's, where that was
            asked for, and everything else that is required was met.
        latency_ms, peak_memory_mb: costs of one inference without pre- and postprocessing on the machine of
            the evidence, as in `edgevision.execution.run_costs.RunCosts`; `None` if not measured.
        timing: CPU time and spread of these runs, and the load of the machine; `None` if not measured.
        accepted_not_shown: True if the images do not show that every requirement is met, and the caller
            accepted that (`ConversionSettings.accept_not_shown`).
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
    quantization: QuantizationEvidence | None = None
    operating_point: OperatingEvidence | None = None
    temperature: TemperatureEvidence | None = None
    latency_ms: float | None = None
    peak_memory_mb: float | None = None
    timing: Timing | None = None
    output_error: Requirement | None = None
    accepted_not_shown: bool = False
    prediction_sets: PredictionSetEvidence | None = None
    attention: AttentionDrift | None = None

    @property
    def status(self) -> str:
        """The worst status of its requirements: ``failed``, ``not shown`` or ``passed``."""
        return status_of(self.requirements)

    @property
    def passed(self) -> bool:
        """True if the images show that every requirement is met."""
        return self.status == PASSED

    @property
    def drop_limits(self) -> list[float]:
        """The limits of its drops."""
        return [one.limit for one in self.requirements if one.what.startswith("drop in ")]

    @property
    def agreement_limits(self) -> list[float]:
        """The limits of its agreement."""
        return [one.limit for one in self.requirements if one.what == "agreement"]


@dataclass(frozen=True)
class Attempt:
    """A candidate that the search for an artifact within the budget tried.

    Attributes:
        artifact: id of the candidate.
        float_layers: layers of the source that were kept in float, most sensitive first.
        size_bytes: size of the artifact; 0 if the conversion failed.
        agreement: agreement with the source, 0…1.
        metrics: value of each metric.
        requirements: limits and measured values.
        error: why the conversion failed; empty if it did not.
        latency_ms, cpu_ms: median wall and CPU time of one inference on the machine of the evidence, timed in
            turn with other candidates; `None` if not measured.
        slower: why its speed ruled it out, in words; empty if it did not.
    """

    artifact: str
    float_layers: tuple[str, ...]
    size_bytes: int = 0
    agreement: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    requirements: tuple[Requirement, ...] = ()
    error: str = ""
    latency_ms: float | None = None
    cpu_ms: float | None = None
    slower: str = ""

    @classmethod
    def of(cls, measured: Measured) -> Attempt:
        """The record of a candidate that was measured."""
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
class MissingArtifact:
    """An artifact that was asked for and is not in the bundle.

    Attributes:
        artifact: the id that it would have; of a search that found nothing, its first candidate.
        targets: names of the devices that it was to be for.
        reason: why it could not be converted or run, or which requirement it misses.
    """

    artifact: str
    targets: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Evidence:
    """All measurements of one conversion.

    Attributes:
        created: time of the conversion, UTC, ISO 8601.
        source_sha256: digest of the source model.
        machine: machine that the measurements were made on.
        evaluation: evaluation set.
        calibration: calibration set: images that set the activation ranges, thresholds and temperatures;
            `None` if none was needed.
        results: one entry per artifact.
        missing: the artifacts that were asked for and could not be written; with
            `ConversionSettings.keep_passing`, a bundle holds the others.
        notes: remarks that a reader needs to interpret the metrics.
        attempts: every candidate that the search tried, in order.
        sensitivities: format -> (layer, quantization error), largest error first; for formats where the
            search ranked the layers.
        calibration_findings: findings about the source on the evaluation set, its input, and the calibration
            set.
        calibration_coverage: how well its activation ranges hold; `None` if not measured.
        training_input: what the decoder and the preprocessing change before any conversion: the source on
            images as its training read them; `None` if its reader does not know how.
        attention: the source's maps that those of artifacts are compared with; `None` if not asked for.
        provenance: how the conversion was run: command, settings, versions, and digests of all inputs; `None`
            in documents of earlier releases.
    """

    created: str
    source_sha256: str
    machine: Mapping[str, Any]
    evaluation: SetFacts
    calibration: SetFacts | None
    results: tuple[Measured, ...]
    missing: tuple[MissingArtifact, ...] = ()
    notes: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    sensitivities: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    calibration_findings: tuple[Finding, ...] = ()
    calibration_coverage: Coverage | None = None
    training_input: TrainingInputEvidence | None = None
    provenance: Provenance | None = None
    attention: AttentionReference | None = None
