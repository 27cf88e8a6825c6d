"""A detector for a medical prototype: real photos, three runtimes, COCO's own metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from edgevision.bundle.manifest import to_json
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.evidence.document import evidence_json
from edgevision.evidence.records import Evidence
from edgevision.loading.load import load
from edgevision.tasks.detections import Detections
from edgevision.tasks.options import TaskOptions

pytestmark = pytest.mark.convert
EXAMPLE = Path(__file__).parents[2] / "examples" / "blood_cells"


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of train and val, the annotations of val, and the labels."""
    target = tmp_path_factory.mktemp("bccd")
    subprocess.run([sys.executable, EXAMPLE / "unpack.py", shared / "data" / "bccd.zip", target], check=True)
    return target


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    options = TaskOptions(
        labels=folder / "labels.txt",
        decoder="heatmap",
        decoder_settings={"size_unit": "root-share"},
        thresholds={"iou_threshold": 0.6},
        annotations=folder / "val-voc",
    )
    return convert(
        EXAMPLE / "blood_cells.keras",
        folder / "blood_cells.evb",
        targets=["raspberry-pi-5", "intel-cpu", "onnx-cpu"],
        precisions=["int8", "float32"],
        calibration=folder / "train",
        evaluation=folder / "val",
        settings=ConversionSettings(task=options),
    )


@pytest.mark.parametrize("name", ["tflite", "openvino", "onnx"])
def test_int8_loses_no_more_than_a_point_on_any_runtime(evidence: Evidence, name: str) -> None:
    (result,) = [one for one in evidence.results if one.artifact == f"{name}-int8"]
    metric = result.comparison.metric("mAP@0.50")
    assert result.comparison.images == 87
    assert metric.source >= 0.80
    assert metric.drop <= 0.01
    assert result.size_bytes < 3_000_000


@pytest.mark.parametrize("name", ["tflite", "openvino", "onnx"])
def test_float32_finds_what_keras_finds(evidence: Evidence, name: str) -> None:
    (result,) = [one for one in evidence.results if one.artifact == f"{name}-float32"]
    assert result.comparison.agreement >= 0.999


def test_its_documents_fit_their_published_schemas(evidence: Evidence, folder: Path) -> None:
    schemas = files("edgevision.schemas")
    bundle = read_bundle(folder / "blood_cells.evb")
    for name, text in (("manifest", to_json(bundle.manifest)), ("evidence", evidence_json(evidence))):
        schema = json.loads(schemas.joinpath(f"{name}.schema.json").read_text())
        jsonschema.validate(json.loads(text), schema)


def test_the_bundle_finds_cells_in_a_photo(evidence: Evidence, folder: Path) -> None:
    assert evidence.results
    photo = next((folder / "val").iterdir())
    for backend in ("tflite", "openvino", "onnx"):
        with load(folder / "blood_cells.evb", backend=backend, selftest="always") as model:
            found = model(photo)
        assert isinstance(found, Detections)
        assert "RBC" in found.labels
