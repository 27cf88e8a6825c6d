"""``evidence.json``: evidence as JSON, written and read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgevision._version import __version__
from edgevision.bundle.provenance import provenance_from
from edgevision.calibration.findings import coverage_from, finding_from
from edgevision.datasets.image_sets import set_facts_from
from edgevision.errors import BundleError
from edgevision.evidence.attention import attention_drift_from, attention_reference_from
from edgevision.evidence.earlier_verdicts import judged_anew
from edgevision.evidence.operating_points import Curve, OperatingEvidence, PointMetrics
from edgevision.evidence.prediction_sets import ClassCoverage, PredictionSetEvidence, SetMeasures
from edgevision.evidence.quantization import quantization_from
from edgevision.evidence.records import Attempt, Evidence, Measured, MissingArtifact
from edgevision.evidence.requirements import Requirement
from edgevision.evidence.temperatures import ScaledScores, ScoreQuality, TemperatureEvidence
from edgevision.evidence.training_input import TrainingInputEvidence
from edgevision.execution.run_costs import Timing
from edgevision.metrics.changes import (
    BoxChange,
    Confusion,
    Flip,
    PixelChange,
    ResultChange,
)
from edgevision.metrics.comparison import (
    ClassifyDetails,
    ClassMetrics,
    Comparison,
    Details,
    DetectDetails,
    GenerateDetails,
    LabelAgreement,
    Metric,
    ResultDetails,
)
from edgevision.metrics.intervals import Interval
from edgevision.metrics.reliability import Reliability, ReliabilityBin
from edgevision.system.field_types import check_field_types
from edgevision.system.private_paths import with_texts, without_folders
from edgevision.system.schema_version import newer_schema
from edgevision.system.strict_json import read_json
from edgevision.tasks.prediction_sets import PredictionSets

#: 2: what the documents of version 1 lack has a default when they are read.
SCHEMA_VERSION = 2

#: Longest line of JSON that is written.
_LINE = 160
#: Fields of `OperatingEvidence` with metrics at a threshold.
_POINTS = ("point", "source_point", "empirical_point", "source_empirical_point")
#: Of the details that do not name their task themselves.
_TASKS: Mapping[type[Any], str] = {
    ClassifyDetails: "classify",
    DetectDetails: "detect",
    GenerateDetails: "generate",
}


def evidence_json(evidence: Evidence) -> str:
    """The text of ``evidence.json``."""
    document = {"schema_version": SCHEMA_VERSION, "edgevision": __version__, **asdict(evidence)}
    if evidence.provenance is None:
        del document["provenance"]
    if evidence.training_input is not None:
        document["training_input"]["comparison"] = comparison_document(evidence.training_input.comparison)
    for row, result in zip(document["results"], evidence.results, strict=True):
        row["comparison"] = comparison_document(result.comparison)
        row["operating_point"] = _operating_document(result.operating_point)
        row["status"], row["passed"] = result.status, result.passed
        _add_passed(row, result.requirements)
        if result.output_error is not None:
            _add_status(row["output_error"], result.output_error)
    for row, attempt in zip(document["attempts"], evidence.attempts, strict=True):
        _add_passed(row, attempt.requirements)
    return json_text(document)


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """A comparison as a JSON document."""
    document = asdict(comparison)
    document["metrics"] = [_metric_document(metric) for metric in comparison.metrics]
    for row, of_class in zip(document["by_class"], comparison.by_class, strict=True):
        row["metrics"] = [_metric_document(metric) for metric in of_class.metrics]
    if comparison.details is not None:
        task = _TASKS.get(type(comparison.details))
        document["details"] = {**({} if task is None else {"task": task}), **document["details"]}
    return document


def json_text(document: Any) -> str:
    """JSON that people can read too: whatever fits on one line is written on one line."""
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
    document = {**asdict(metric), "drop": metric.drop}
    if not metric.lower_is_better:
        del document["lower_is_better"]
    return document


def _operating_document(evidence: OperatingEvidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    document = asdict(evidence)
    for name in _POINTS:
        point = getattr(evidence, name)
        document[name] = point and {
            "threshold": point.threshold,
            "calibration": [_metric_document(metric) for metric in point.calibration],
            "evaluation": [_metric_document(metric) for metric in point.evaluation],
        }
    return document


def _add_passed(row: dict[str, Any], requirements: Sequence[Requirement]) -> None:
    for document, requirement in zip(row["requirements"], requirements, strict=True):
        _add_status(document, requirement)


def _add_status(document: dict[str, Any], requirement: Requirement) -> None:
    document["status"], document["passed"] = requirement.status, requirement.passed


def read_evidence(text: str, where: str) -> Evidence:
    """Read the text of an ``evidence.json``.

    Raises:
        BundleError: it is not a valid ``evidence.json``, a field holds something else than it should, or its
            schema version is unknown.
    """
    try:
        document = read_json(text)
        if document.get("provenance") is None:  # releases that recorded none recorded paths of folders
            document = with_texts(document, without_folders())
        version, writer = document.pop("schema_version"), document.pop("edgevision", None)
        if type(version) is not int or version < 1:
            raise BundleError(f"{where}: schema version {version!r:.20}, expected 1 to {SCHEMA_VERSION}")
        if version > SCHEMA_VERSION:
            raise BundleError(newer_schema(where, version, SCHEMA_VERSION, {"edgevision": writer}))
        calibration = document.pop("calibration")
        evidence = Evidence(
            evaluation=set_facts_from(document.pop("evaluation")),
            calibration=None if calibration is None else set_facts_from(calibration),
            results=tuple(_measured(row) for row in document.pop("results")),
            missing=tuple(MissingArtifact(**_with_tuples(row)) for row in document.pop("missing", ())),
            notes=tuple(document.pop("notes")),
            attempts=tuple(_attempt(row) for row in document.pop("attempts")),
            sensitivities={
                name: tuple((layer, error) for layer, error in layers)
                for name, layers in document.pop("sensitivities").items()
            },
            calibration_findings=tuple(map(finding_from, document.pop("calibration_findings"))),
            calibration_coverage=coverage_from(document.pop("calibration_coverage")),
            training_input=_training_input(document.pop("training_input", None)),
            provenance=provenance_from(document.pop("provenance", None)),
            attention=attention_reference_from(document.pop("attention", None)),
            **document,
        )
        check_field_types(evidence)
    except BundleError:
        raise
    except Exception as error:  # one interface for whatever such a document leads to
        reason = f"field {error} is missing" if isinstance(error, KeyError) else error
        raise BundleError(f"{where}: not valid evidence for this release: {reason}") from error
    return evidence


def _training_input(row: dict[str, Any] | None) -> TrainingInputEvidence | None:
    if row is None:
        return None
    return TrainingInputEvidence(comparison=_comparison(row.pop("comparison")), **row)


def _measured(row: dict[str, Any]) -> Measured:
    comparison = _comparison(row.pop("comparison"))
    del row["passed"]
    row.pop("status", None)
    numeric = row.pop("output_error", None)
    point = _operating_point(row.pop("operating_point", None))
    return Measured(
        comparison=comparison,
        quantization=quantization_from(row.pop("quantization", None)),
        operating_point=point,
        temperature=_temperature(row.pop("temperature", None)),
        prediction_sets=_prediction_sets(row.pop("prediction_sets", None)),
        attention=attention_drift_from(row.pop("attention", None)),
        timing=_timing(row.pop("timing", None)),
        requirements=tuple(_requirement(one, comparison, point) for one in row.pop("requirements")),
        output_error=None if numeric is None else _requirement(numeric),
        float_layers=tuple(row.pop("float_layers")),
        **row,
    )


def _timing(row: dict[str, Any] | None) -> Timing | None:
    return None if row is None else Timing(**row)


def _attempt(row: dict[str, Any]) -> Attempt:
    return Attempt(
        float_layers=tuple(row.pop("float_layers")),
        requirements=tuple(map(_requirement, row.pop("requirements"))),
        **row,
    )


def _requirement(
    row: dict[str, Any], comparison: Comparison | None = None, point: OperatingEvidence | None = None
) -> Requirement:
    requirement = Requirement(**{name: row[name] for name in row if name not in ("passed", "status")})
    return requirement if "bound" in row else judged_anew(requirement, comparison, point)


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
    if task == "generate":
        return GenerateDetails(row["changed"], tuple(PixelChange(**one) for one in row["changes"]))
    return ResultDetails(task, row["changed"], tuple(ResultChange(**one) for one in row["changes"]))


def _classify_details(row: dict[str, Any]) -> ClassifyDetails:
    return ClassifyDetails(
        row["flipped"],
        tuple(Flip(**_with_tuples(one)) for one in row["flips"]),
        _confusion(row["source_confusion"]),
        _confusion(row["artifact_confusion"]),
        _reliability(row["source_reliability"]),
        _reliability(row["artifact_reliability"]),
        tuple(_label_agreement(one) for one in row.get("by_label", ())),
    )


def _label_agreement(row: dict[str, Any]) -> LabelAgreement:
    return LabelAgreement(**{**row, "interval": Interval(**row["interval"])})


def _confusion(row: dict[str, Any] | None) -> Confusion | None:
    return None if row is None else Confusion(tuple((cell[0], cell[1], cell[2]) for cell in row["cells"]))


def _reliability(row: dict[str, Any] | None) -> Reliability | None:
    if row is None:
        return None
    calibrated = row.get("calibrated")
    return Reliability(
        row["ece"],
        tuple(ReliabilityBin(**one) for one in row["bins"]),
        row.get("debiased"),
        _interval(row.get("interval")),
        None if calibrated is None else (calibrated[0], calibrated[1]),
    )


def _operating_point(row: dict[str, Any] | None) -> OperatingEvidence | None:
    if row is None:
        return None
    for name in _POINTS:
        point = row.get(name)
        if point is not None:
            sets = (tuple(_metric(one) for one in point[which]) for which in ("calibration", "evaluation"))
            row[name] = PointMetrics(point["threshold"], *sets)
    for name in ("source_curve", "artifact_curve"):
        row[name] = Curve(**_with_tuples(row[name]))
    return OperatingEvidence(**_with_tuples(row))


def _temperature(row: dict[str, Any] | None) -> TemperatureEvidence | None:
    if row is None:
        return None
    return TemperatureEvidence(_scaled(row["source"]), _scaled(row["artifact"]), tuple(row["warnings"]))


def _prediction_sets(row: dict[str, Any] | None) -> PredictionSetEvidence | None:
    if row is None:
        return None
    by_class = tuple(
        ClassCoverage(**{**one, "interval": Interval(**one["interval"])}) for one in row["by_class"]
    )
    low, high = row["expected"]
    rule = PredictionSets(**row["rule"])
    artifact, source = (_set_measures(row[name]) for name in ("artifact", "source"))
    return PredictionSetEvidence(rule, (low, high), artifact, source, by_class, tuple(row["warnings"]))


def _set_measures(row: dict[str, Any]) -> SetMeasures:
    return SetMeasures(**{**row, "interval": Interval(**row["interval"])})


def _scaled(row: dict[str, Any]) -> ScaledScores:
    change = _interval(row.get("change"))
    return ScaledScores(row["temperature"], _quality(row["before"]), _quality(row["after"]), change)


def _quality(row: dict[str, Any]) -> ScoreQuality:
    found = _reliability(row["reliability"])
    if found is None:
        raise ValueError("the reliability of calibrated scores is missing")
    return ScoreQuality(row["nll"], found)


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
