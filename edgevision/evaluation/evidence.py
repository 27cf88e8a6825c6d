"""Evidence: the measured comparison of every artifact of a bundle with its source.

The JSON is described for other programs by ``edgevision/schemas/evidence.schema.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgevision.errors import BundleError
from edgevision.evaluation.budget import Demand
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
        demands: what was demanded, and whether it holds.
        float_layers: layers of the source that stayed in float, of ``int8-mixed``.
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
    demands: tuple[Demand, ...]
    float_layers: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every demand holds."""
        return all(demand.passed for demand in self.demands)


@dataclass(frozen=True)
class Attempt:
    """A candidate that the search for a budget has tried.

    Attributes:
        artifact: its id.
        float_layers: layers of the source that stayed in float, the most sensitive first.
        size_bytes: of the artifact; 0 where it could not be made.
        agreement: with the source, 0…1.
        metrics: name -> what it reached.
        demands: what was demanded, and whether it holds.
        error: why it could not be made.
    """

    artifact: str
    float_layers: tuple[str, ...]
    size_bytes: int = 0
    agreement: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    demands: tuple[Demand, ...] = ()
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
            measured.demands,
        )


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
        attempts: every candidate that the search for a budget has tried, in their order.
        sensitivities: format -> layers, the one first whose integers cost most, with the measured
            error; of the formats for which the search has asked.
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


def evidence_json(evidence: Evidence) -> str:
    """The text of ``evidence.json``."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(evidence)}
    for row, result in zip(document["results"], evidence.results, strict=True):
        for document_metric, metric in zip(
            row["comparison"]["metrics"], result.comparison.metrics, strict=True
        ):
            document_metric["drop"] = metric.drop
        row["passed"] = result.passed
        _tell_passed(row, result.demands)
    for row, attempt in zip(document["attempts"], evidence.attempts, strict=True):
        _tell_passed(row, attempt.demands)
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _tell_passed(row: dict[str, Any], demands: Sequence[Demand]) -> None:
    for told, demand in zip(row["demands"], demands, strict=True):
        told["passed"] = demand.passed


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
            attempts=tuple(_attempt(row) for row in document.pop("attempts")),
            sensitivities={
                name: tuple((layer, error) for layer, error in layers)
                for name, layers in document.pop("sensitivities").items()
            },
            **document,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{where}: is no evidence that this release reads: {error}") from error


def _measured(row: dict[str, Any]) -> Measured:
    comparison = dict(row.pop("comparison"))
    metrics = tuple(_metric(one) for one in comparison.pop("metrics"))
    del row["passed"]
    return Measured(
        comparison=Comparison(metrics=metrics, **comparison),
        demands=_demands(row.pop("demands")),
        float_layers=tuple(row.pop("float_layers")),
        **row,
    )


def _attempt(row: dict[str, Any]) -> Attempt:
    return Attempt(float_layers=tuple(row.pop("float_layers")), demands=_demands(row.pop("demands")), **row)


def _demands(rows: list[dict[str, Any]]) -> tuple[Demand, ...]:
    return tuple(Demand(**{name: row[name] for name in row if name != "passed"}) for row in rows)


def _metric(row: dict[str, Any]) -> Metric:
    del row["drop"]
    return Metric(**row)
