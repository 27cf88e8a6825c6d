"""The bill of materials of a bundle is valid CycloneDX, and lists what was really loaded."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import edgevision
from edgevision.bundle.provenance import InputRecord, Provenance
from edgevision.cli import cli
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from evaluation.tiny_bundle import write_tiny_bundle
from reporting.report_bundle import classified, evidence_of, measured

RECORD = Provenance(
    *("0.1.0", "a" * 40, ("edgevision", "convert", "model.keras"), "Jane Doe"),
    libraries={"tensorflow": "2.21.0"},
    inputs=(InputRecord("source", "model.keras", "0" * 64),),
)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    from dataclasses import replace

    return replace(evidence_of(measured("tflite-float32", classified())), provenance=RECORD)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, evidence: Evidence) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path_factory.mktemp("sbom") / "tiny.evb"
    return write_tiny_bundle(path, evidence_text=evidence_json(evidence))


@pytest.fixture(scope="module")
def document(bundle: Path) -> dict[str, Any]:
    return edgevision.sbom(bundle)


def test_the_document_is_valid_by_the_library_of_cyclonedx(document: dict[str, Any]) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="needs the extra `device-tests`")
    from cyclonedx.schema import SchemaVersion

    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is None
    assert validator.validate_str(json.dumps({**document, "components": [{"name": "x"}]})) is not None


def test_the_model_card_has_every_metric_with_its_interval(
    document: dict[str, Any], evidence: Evidence
) -> None:
    card = document["metadata"]["component"]["modelCard"]
    rows = {(row["type"], row["slice"]): row for row in card["quantitativeAnalysis"]["performanceMetrics"]}
    (result,) = evidence.results
    for metric in result.comparison.metrics:
        row = rows[metric.name, "tflite-float32"]
        assert float(row["value"]) == pytest.approx(metric.artifact, rel=1e-5)
        assert metric.artifact_interval is not None
        bounds = [float(row["confidenceInterval"][name]) for name in ("lowerBound", "upperBound")]
        assert bounds == pytest.approx(
            [metric.artifact_interval.low, metric.artifact_interval.high], abs=1e-5
        )
    assert rows["agreement", "tflite-float32"]["confidenceInterval"]
    assert card["modelParameters"]["task"] == "classify"
    sets = {
        row["bom-ref"]: row["contents"]["properties"][0]["value"]
        for row in card["modelParameters"]["datasets"]
    }
    assert sets["data/evaluation"] == evidence.evaluation.sha256


def test_only_the_libraries_that_the_bundle_loads_are_required(document: dict[str, Any]) -> None:
    import jsonschema  # imported here, and by no bundle

    assert jsonschema
    required = {row["name"]: row for row in document["components"] if row["scope"] == "required"}
    assert {"ai-edge-litert", "numpy", "edgevision", "opencv-python-headless", "Python"} <= set(required)
    assert not {"jsonschema", "pytest", "tensorflow", "openvino", "onnxruntime"} & set(required)
    litert = required["ai-edge-litert"]
    assert litert["version"] == metadata.version("ai-edge-litert")
    assert litert["licenses"]
    assert litert["purl"] == f"pkg:pypi/ai-edge-litert@{litert['version']}"
    excluded = {row["name"]: row["version"] for row in document["components"] if row["scope"] == "excluded"}
    assert excluded == RECORD.libraries


def test_shared_objects_have_the_digests_of_their_files(document: dict[str, Any]) -> None:
    litert = next(row for row in document["components"] if row["name"] == "ai-edge-litert")
    stated = {part["name"]: part["hashes"][0]["content"] for part in litert["components"]}
    assert stated
    of_distribution = {file.name: file for file in metadata.files("ai-edge-litert") or ()}
    for name, digest in stated.items():
        content = Path(str(of_distribution[name].locate())).read_bytes()
        assert digest == hashlib.sha256(content).hexdigest()


def test_the_document_says_how_the_bundle_came_to_be(document: dict[str, Any], bundle: Path) -> None:
    component = document["metadata"]["component"]
    digest = edgevision.read_bundle(bundle).digest
    assert component["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert {part["name"] for part in component["components"]} == {
        *("artifacts/tflite-float32/tiny.tflite", "labels.txt", "selftest.npz", "evidence.json")
    }
    facts = {row["name"]: row["value"] for row in component["properties"]}
    assert facts["edgevision:command"] == "edgevision convert model.keras"
    assert facts["edgevision:revision"] == "a" * 40
    assert (facts["edgevision:backend"], facts["edgevision:device"]) == ("tflite", "cpu")


def test_the_list_of_soup_has_what_iec_62304_asks_for(bundle: Path) -> None:
    document = edgevision.sbom(bundle, form="soup")
    rows = {row["title"]: row for row in document["soup"]}
    for row in rows.values():
        for name in ("manufacturer", "version", "requirements", "system_requirements", "anomalies"):
            assert row[name], (row["title"], name)
    assert rows["numpy"]["requirements"].startswith("numpy>=1.23; tflite-float32 gives its known answers")
    assert rows["numpy"]["anomalies"].startswith("https://")
    assert rows["numpy"]["version"] == metadata.version("numpy")


def test_the_command_writes_either_form_and_replaces_nothing_unasked(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "sbom.json"
    done = CliRunner().invoke(cli, ["sbom", str(bundle), "--soup", "-o", str(output)])
    assert done.output == f"wrote {output}\n"
    assert json.loads(output.read_text())["standard"] == "IEC 62304:2006+A1:2015"
    again = CliRunner().invoke(cli, ["sbom", str(bundle), "-o", str(output)])
    assert isinstance(again.exception, edgevision.errors.OutputError)
    assert "--force" in str(again.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"form": "spdx"}, "expected one of cyclonedx, soup"), ({"backend": "no-such"}, "no-such")],
)
def test_what_cannot_be_listed_is_refused(bundle: Path, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(edgevision.EdgeVisionError, match=message):
        edgevision.sbom(bundle, **arguments)
