"""Evidence is written as JSON that matches its published schema, and is read back unchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from edgevision.artifact import PRECISIONS, FloatOperation
from edgevision.calibration.findings import Coverage, Finding, LayerCoverage
from edgevision.datasets.image_sets import SetFacts
from edgevision.errors import BundleError
from edgevision.evaluation.classification import ClassificationEvaluator, compare_scores
from edgevision.evaluation.detection import DetectionEvaluator
from edgevision.evaluation.evaluator import Evaluator
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.operating_points import (
    ThresholdedScores,
    operating_evidence,
)
from edgevision.evidence.operating_specification import OperatingPointSpecification
from edgevision.evidence.quantization import QuantizationEvidence, RecipeComparison
from edgevision.evidence.records import Attempt, Evidence, MissingArtifact
from edgevision.evidence.requirements import Requirement
from edgevision.evidence.temperatures import ScaledScores, ScoreQuality, TemperatureEvidence
from edgevision.execution.run_costs import Timing
from edgevision.metrics.changes import BoxChange, PixelChange
from edgevision.metrics.comparison import Comparison, DetectDetails, GenerateDetails, Metric
from edgevision.metrics.intervals import Interval
from edgevision.system.machine import this_machine
from measured_artifacts import measured_artifact

SCHEMA = json.loads(files("edgevision.schemas").joinpath("evidence.schema.json").read_text())

EVIDENCE = Evidence(
    created="2026-11-23T00:00:00Z",
    source_sha256="0" * 64,
    machine=this_machine(),
    evaluation=SetFacts("labelled/", 100, "1" * 64, labelled=True, left_out=2),
    calibration=SetFacts("images/", 50, "2" * 64, labelled=False),
    results=(
        measured_artifact(
            Comparison(100, 0.94, 0.25, 0.01, (Metric("accuracy", 0.75, 0.7),)),
            Requirement("agreement", True, 0.95, 0.94),
            float_layers=("conv",),
            quantization=QuantizationEvidence(
                "edgevision",
                "TFLiteConverter 2",
                "mixed",
                {"mixed": 0.01, "plain": 0.5},
                (FloatOperation("MUL", "ln_1", "slower in int8"),),
                RecipeComparison(8, "mean squared error", 0.01, None, "edgevision", "no kernel"),
            ),
            latency_ms=1.25,
            peak_memory_mb=60.5,
            timing=Timing(50, 1.2, 1.1, 1.9, 3.5, None, 2),
        ),
    ),
    missing=(MissingArtifact("onnx-int8", ("onnx-cpu", "jetson-orin"), "no converter"),),
    notes=("a note",),
    attempts=(
        Attempt("tflite-int8", (), 900, 0.9, {"accuracy": 0.7}, (Requirement("agreement", True, 0.95, 0.9),)),
        Attempt("tflite-int16x8", (), error="no kernel"),
        Attempt("tflite-float32", (), 3600, 1.0, latency_ms=3.5, cpu_ms=3.25, slower="2.8 times"),
    ),
    sensitivities={"tflite": (("conv", 0.5), ("dense", 0.1))},
    calibration_findings=(Finding("few-images", "warning", "50 images are few", ("a.png", "b.png")),),
    calibration_coverage=Coverage(
        50, 100, 2, 0.001, 0.05, (LayerCoverage("conv", -1.0, 2.0, ((-1.0, 1.5), (-0.5, 2.0)), 0.17, 0.01),)
    ),
)


def _classified() -> Comparison:
    random = np.random.default_rng(0)
    source = random.dirichlet(np.ones(5), 60).astype(np.float32)
    names = [f"{place}.png" for place in range(60)]
    return compare_scores(source, source[::-1], random.integers(0, 4, 60), image_names=names)


def _independent() -> Comparison:
    random = np.random.default_rng(0)
    source, artifact = random.random((2, 40, 3), np.float32)
    return compare_scores(source, artifact, random.random((40, 3)) < 0.3, multi_label=True)


DETECTED = Comparison(2, 0.9, 0.1, 0.1, details=DetectDetails(1, (BoxChange("a.jpg", 2, ("cell",), ()),)))
MADE = Comparison(
    2,
    0.9,
    0.1,
    0.1,
    likeness={"SSIM": 0.9},
    likeness_intervals={"SSIM": Interval(0.8, 0.95, "bootstrap")},
    details=GenerateDetails(1, (PixelChange("a.jpg", 0.8, 30.0),)),
)


def _decided() -> Evidence:
    random = np.random.default_rng(0)
    positive = random.random((2, 80)) < 0.5
    scores = [(0.4 * random.random((2, 80)) + 0.4 * positive).astype(np.float32) for _ in range(2)]
    requirement = OperatingPointSpecification("b", "specificity", 0.9)
    sides = [ThresholdedScores(*pair, threshold) for pair, threshold in zip(scores, (0.5, 0.6), strict=True)]
    quality = ScoreQuality.of(_pairs(scores[0][0]), _pairs(positive[0]) > 0, 1e-6, False)
    scaled = ScaledScores(1.5, quality, quality)
    point = replace(
        operating_evidence(requirement, *sides, (positive[0], positive[1])), warnings=("few images",)
    )
    result = replace(EVIDENCE.results[0], operating_point=point)
    temperature = TemperatureEvidence(scaled, scaled, ("worse",))
    return replace(EVIDENCE, results=(result, replace(EVIDENCE.results[0], temperature=temperature)))


def _pairs(scores: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - scores, scores])


def _with(comparison: Comparison) -> Evidence:
    return replace(EVIDENCE, results=(replace(EVIDENCE.results[0], comparison=comparison),))


CASES = {
    "plain": EVIDENCE,
    "classify": _with(_classified()),
    "unlabelled": _with(compare_scores(*np.random.default_rng(0).random((2, 9, 4), np.float32), None)),
    "independent scores": _with(_independent()),
    "detect": _with(DETECTED),
    "generate": _with(MADE),
    "operating point and temperature": _decided(),
}


@pytest.mark.parametrize("evidence", CASES.values(), ids=CASES)
def test_evidence_is_read_back_unchanged_and_matches_the_published_schema(evidence: Evidence) -> None:
    text = evidence_json(evidence)
    assert read_evidence(text, "evidence.json") == evidence
    jsonschema.validate(json.loads(text), SCHEMA)


def test_evidence_of_a_release_with_fewer_measurements_is_read() -> None:
    document = json.loads(evidence_json(EVIDENCE))
    comparison = document["results"][0]["comparison"]
    for name in ("agreement_interval", "likeness_intervals", "by_class", "details", "notes"):
        del comparison[name]
    for name in ("source_interval", "artifact_interval", "drop_interval"):
        del comparison["metrics"][0][name]
    for name in ("operating_point", "temperature", "quantization"):
        del document["results"][0][name]
    del document["missing"]
    result = replace(EVIDENCE.results[0], quantization=None)
    assert read_evidence(json.dumps(document), "evidence.json") == replace(
        EVIDENCE, results=(result,), missing=()
    )


def test_operating_points_and_calibration_errors_of_an_earlier_release_are_read_without_a_guarantee() -> None:
    document = json.loads(evidence_json(_decided()))
    point, temperature = (row[name] for row, name in zip(document["results"], _CALIBRATED, strict=True))
    for name in ("confidence", "lower_limits", "empirical_point", "source_empirical_point"):
        del point[name]
    for name in ("evaluation_images", "counted", "needed"):
        del point[name]
    for scaled in (temperature["source"], temperature["artifact"]):
        del scaled["change"]
        for quality in (scaled["before"], scaled["after"]):
            for name in ("debiased", "interval", "calibrated"):
                del quality["reliability"][name]
            for one in quality["reliability"]["bins"]:
                del one["low"], one["high"]
    del document["training_input"]
    found = read_evidence(json.dumps(document), "evidence")
    read_point, read_temperature = found.results[0].operating_point, found.results[1].temperature
    assert (read_point.confidence, read_point.lower_limits, read_point.empirical_point) == (None, None, None)
    assert read_point.requirement.status in ("not shown", "failed"), "no limit was measured"
    assert read_temperature.artifact.after.reliability.interval is None
    assert found.training_input is None


_CALIBRATED = ("operating_point", "temperature")


def test_evidence_of_many_images_and_classes_stays_small() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 1000, 5000)
    logits = random.normal(size=(2, 5000, 1000)) + 4 * np.eye(1000)[truth]
    scores = np.exp(logits).astype(np.float32)
    names = [f"validation/n0{truth[place]:07d}/ILSVRC2012_val_{place:08d}.JPEG" for place in range(5000)]
    labels = [f"a class with a long name {number}" for number in range(1000)]
    comparison = compare_scores(*scores / scores.sum(axis=2, keepdims=True), truth, False, labels, names)
    assert comparison.details.flipped > 1000
    assert len(comparison.details.flips) == 200
    assert len(comparison.by_class) == 100
    three = replace(EVIDENCE, results=_with(comparison).results * 3)
    assert len(evidence_json(three)) < 1_000_000
    assert max(map(len, evidence_json(three).splitlines())) < 400, "readable in an editor"


def test_the_json_matches_the_published_schema() -> None:
    document = json.loads(evidence_json(EVIDENCE))
    jsonschema.validate(document, SCHEMA)
    assert document["results"][0]["passed"] is False
    assert document["results"][0]["comparison"]["metrics"][0]["drop"] == pytest.approx(0.05)
    del document["results"][0]["passed"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("evaluator", [ClassificationEvaluator, DetectionEvaluator])
def test_every_precision_has_a_default_agreement(evaluator: type[Evaluator]) -> None:
    assert set(evaluator.default_agreement) == set(PRECISIONS)


def test_a_document_of_version_1_is_read_and_a_newer_one_names_the_release_that_reads_it() -> None:
    document = json.loads(evidence_json(EVIDENCE))
    document["schema_version"] = 1
    del document["edgevision"]
    assert read_evidence(json.dumps(document), "evidence.json") == EVIDENCE
    document |= {"schema_version": 3, "edgevision": "4.1.0"}
    with pytest.raises(
        BundleError, match=r'edgevision 4\.1\.0 wrote it: run: pip install -U "edgevision>=4\.1\.0"'
    ):
        read_evidence(json.dumps(document), "evidence.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match=r"evidence\.json"):
        read_evidence(text, "evidence.json")


def test_the_machine_is_described() -> None:
    assert {"processor", "architecture", "cores", "system", "python"} == set(this_machine())
