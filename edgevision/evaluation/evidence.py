"""Evidence: the measured comparison of every artifact of a bundle with its source.

The JSON is described for other programs by ``edgevision/schemas/evidence.schema.json``.
"""

from __future__ import annotations

import json
import os
import platform
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevision.errors import BundleError
from edgevision.evaluation.changes import (
    BoxChange,
    Confusion,
    Flip,
    PixelChange,
    Reliability,
    ReliabilityBin,
)
from edgevision.evaluation.comparison import (
    ClassifyDetails,
    ClassMetrics,
    Comparison,
    Details,
    DetectDetails,
    GenerateDetails,
    Metric,
)
from edgevision.evaluation.intervals import Interval

SCHEMA_VERSION = 1
#: Columns of a line of JSON.
_LINE = 160
_TASKS: Mapping[type[Any], str] = {
    ClassifyDetails: "classify",
    DetectDetails: "detect",
    GenerateDetails: "generate",
}


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
    """

    created: str
    source_sha256: str
    machine: Mapping[str, Any]
    evaluation: SetFacts
    calibration: SetFacts | None
    results: tuple[Measured, ...]
    notes: tuple[str, ...] = ()


def evidence_json(evidence: Evidence) -> str:
    """The text of ``evidence.json``."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(evidence)}
    for row, result in zip(document["results"], evidence.results, strict=True):
        row["comparison"] = comparison_document(result.comparison)
        row["passed"] = result.passed
    return json_text(document)


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON has it."""
    document = asdict(comparison)
    document["metrics"] = [_metric_document(metric) for metric in comparison.metrics]
    for row, one in zip(document["by_class"], comparison.by_class, strict=True):
        row["metrics"] = [_metric_document(metric) for metric in one.metrics]
    if comparison.details is not None:
        document["details"] = {"task": _TASKS[type(comparison.details)], **document["details"]}
    return document


def json_text(document: Any) -> str:
    """JSON that people can read as well: what fits into a line stands on one."""
    return _in_lines(document, 0) + "\n"


def _in_lines(value: Any, depth: int) -> str:
    text = json.dumps(value, allow_nan=False)
    if not isinstance(value, (dict, list, tuple)) or len(text) + 2 * depth <= _LINE:
        return text
    inner = "\n" + "  " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_in_lines(part, depth + 1)}" for key, part in value.items()]
        return "{" + inner + f",{inner}".join(parts) + inner[:-2] + "}"
    parts = [_in_lines(part, depth + 1) for part in value]
    if not any('"' in part for part in parts):  # rows of numbers fill the lines
        parts = textwrap.wrap(", ".join(part.replace(" ", "") for part in parts), _LINE)
        return "[" + inner + inner.join(parts) + inner[:-2] + "]"
    return "[" + inner + f",{inner}".join(parts) + inner[:-2] + "]"


def _metric_document(metric: Metric) -> dict[str, Any]:
    return {**asdict(metric), "drop": metric.drop}


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
            **document,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{where}: is no evidence that this release reads: {error}") from error


def _measured(row: dict[str, Any]) -> Measured:
    comparison = _comparison(row.pop("comparison"))
    del row["passed"]
    return Measured(comparison=comparison, **row)


def _comparison(row: dict[str, Any]) -> Comparison:
    likeness_intervals = row.pop("likeness_intervals", {})
    return Comparison(
        metrics=tuple(_metric(one) for one in row.pop("metrics")),
        agreement_interval=_interval(row.pop("agreement_interval", None)),
        likeness_intervals={name: Interval(**one) for name, one in likeness_intervals.items()},
        by_class=tuple(_class_metrics(one) for one in row.pop("by_class", ())),
        details=_details(row.pop("details", None)),
        notes=tuple(row.pop("notes", ())),
        **row,
    )


def _metric(row: dict[str, Any]) -> Metric:
    del row["drop"]
    for name in ("source_interval", "artifact_interval", "drop_interval"):
        row[name] = _interval(row.get(name))
    return Metric(**row)


def _interval(row: dict[str, Any] | None) -> Interval | None:
    return None if row is None else Interval(**row)


def _class_metrics(row: dict[str, Any]) -> ClassMetrics:
    return ClassMetrics(row["label"], row["support"], tuple(_metric(one) for one in row["metrics"]))


def _details(row: dict[str, Any] | None) -> Details | None:
    if row is None:
        return None
    task = row.pop("task")
    if task == "classify":
        return _classify_details(row)
    if task == "detect":
        changes = tuple(BoxChange(**_with_tuples(one)) for one in row["changes"])
        return DetectDetails(row["changed"], changes)
    return GenerateDetails(row["changed"], tuple(PixelChange(**one) for one in row["changes"]))


def _classify_details(row: dict[str, Any]) -> ClassifyDetails:
    return ClassifyDetails(
        row["flipped"],
        tuple(Flip(**_with_tuples(one)) for one in row["flips"]),
        _confusion(row["source_confusion"]),
        _confusion(row["artifact_confusion"]),
        _reliability(row["source_reliability"]),
        _reliability(row["artifact_reliability"]),
    )


def _confusion(row: dict[str, Any] | None) -> Confusion | None:
    return None if row is None else Confusion(tuple((cell[0], cell[1], cell[2]) for cell in row["cells"]))


def _reliability(row: dict[str, Any] | None) -> Reliability | None:
    if row is None:
        return None
    return Reliability(row["ece"], tuple(ReliabilityBin(**one) for one in row["bins"]))


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


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
