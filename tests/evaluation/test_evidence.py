"""Evidence is kept as JSON that fits its published schema, and is read back as it was."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from edgevision.artifact import PRECISIONS
from edgevision.errors import BundleError
from edgevision.evaluation.budget import Demand
from edgevision.evaluation.classify_proof import ClassifyProof
from edgevision.evaluation.comparison import Comparison, Metric
from edgevision.evaluation.detect_proof import DetectProof
from edgevision.evaluation.evidence import (
    Attempt,
    Evidence,
    Measured,
    SetFacts,
    evidence_json,
    read_evidence,
)
from edgevision.evaluation.machine import this_machine
from edgevision.evaluation.proof import TaskProof

EVIDENCE = Evidence(
    created="2026-11-23T00:00:00Z",
    source_sha256="0" * 64,
    machine=this_machine(),
    evaluation=SetFacts("labelled/", 100, "1" * 64, labelled=True, left_out=2),
    calibration=SetFacts("images/", 50, "2" * 64, labelled=False),
    results=(
        Measured(
            artifact="tflite-int8",
            sha256="3" * 64,
            size_bytes=1000,
            backend="tflite",
            version="ai-edge-litert 2",
            device="cpu",
            precision="int8",
            on_target=True,
            comparison=Comparison(100, 0.94, 0.25, 0.01, (Metric("accuracy", 0.75, 0.7),)),
            demands=(Demand("agreement", True, 0.95, 0.94),),
            float_layers=("conv",),
        ),
    ),
    notes=("a note",),
    attempts=(
        Attempt("tflite-int8", (), 900, 0.9, {"accuracy": 0.7}, (Demand("agreement", True, 0.95, 0.9),)),
        Attempt("tflite-int16x8", (), error="no kernel"),
    ),
    sensitivities={"tflite": (("conv", 0.5), ("dense", 0.1))},
)


def test_what_was_written_is_read_back() -> None:
    assert read_evidence(evidence_json(EVIDENCE), "evidence.json") == EVIDENCE


def test_the_json_fits_the_published_schema() -> None:
    schema = json.loads(files("edgevision.schemas").joinpath("evidence.schema.json").read_text())
    document = json.loads(evidence_json(EVIDENCE))
    jsonschema.validate(document, schema)
    assert document["results"][0]["passed"] is False
    assert document["results"][0]["comparison"]["metrics"][0]["drop"] == pytest.approx(0.05)
    del document["results"][0]["passed"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("proof", [ClassifyProof, DetectProof])
def test_every_precision_has_a_limit(proof: type[TaskProof]) -> None:
    assert set(proof.least_agreement) == set(PRECISIONS)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match=r"evidence\.json"):
        read_evidence(text, "evidence.json")


def test_the_machine_is_told() -> None:
    assert {"processor", "architecture", "cores", "system", "python"} == set(this_machine())
