"""A ``Dense(1)`` through convert, predict, evaluate and compare, and as part of reports."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

from edgevision.bundle.manifest import to_json
from edgevision.bundle.schema import manifest_schema
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.errors import OptionError
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.reporting.report import write_report
from edgevision.tasks.options import TaskOptions

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 with numpy 2 warns of its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that estimates the brightness of an image in percent, images, and a table of it."""
    keras = pytest.importorskip("keras", reason="needs the extra `convert`")
    target = tmp_path_factory.mktemp("regress")
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3), name="photo")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(scaled))
    model = keras.Model(image, keras.layers.Dense(1, name="brightness")(pooled))
    random = np.random.default_rng(0)
    (target / "images").mkdir()
    (target / "calibration").mkdir()
    rows, pixels = ["image,brightness"], []
    for number in range(200):
        level = random.uniform(20, 235)
        one = np.clip(random.normal(level, 15, (16, 16, 3)), 0, 255).astype(np.uint8)
        pixels.append(one)
        if number < 80:
            cv2.imwrite(str(target / "images" / f"{number:03d}.png"), one)
            rows.append(f"{number:03d}.png,{one.mean() / 2.55:.4f}")
        elif number < 120:
            cv2.imwrite(str(target / "calibration" / f"{number:03d}.png"), one)
    stack = np.stack(pixels).astype(np.float32)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(stack, stack.mean((1, 2, 3)) / 2.55, epochs=60, verbose=0)
    model.save(target / "brightness.keras")
    (target / "truth.csv").write_text("\n".join(rows), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    stated: Any = {"units": ["%"], "ranges": [[0, 100]]}
    task = TaskOptions(task="regress", task_options=stated, truth=folder / "truth.csv")
    return convert(
        folder / "brightness.keras",
        folder / "brightness.evb",
        targets=["raspberry-pi-5", "intel-cpu", "onnx-cpu"],
        precisions=["int8"],
        calibration=folder / "calibration",
        evaluation=folder / "images",
        settings=ConversionSettings(task=task, accept_not_shown=True),
    )


def _run(name: str, *arguments: object) -> str:
    command = import_module(f"edgevision.cli.{name}").command
    result = CliRunner().invoke(command, [str(each) for each in arguments], standalone_mode=False)
    assert result.exception is None, result.exception
    return str(result.output)


def test_int8_keeps_the_error_on_three_runtimes(evidence: Evidence) -> None:
    assert {result.backend for result in evidence.results} == {"tflite", "openvino", "onnx"}
    for result in evidence.results:
        error = result.comparison.metric("MAE")
        assert error.lower_is_better
        assert error.source < 5
        assert abs(error.drop) < 1
        assert result.comparison.agreement > 0.98


def test_documents_have_the_form_of_their_schemas(folder: Path, evidence: Evidence) -> None:
    manifest = json.loads(to_json(read_bundle(folder / "brightness.evb").manifest))
    assert manifest["task"]["names"] == ["brightness"]
    jsonschema.validate(manifest, manifest_schema())
    text = evidence_json(evidence)
    schema = json.loads(files("edgevision.schemas").joinpath("evidence.schema.json").read_text())
    jsonschema.validate(json.loads(text), schema)
    assert evidence_json(read_evidence(text, "evidence.json")) == text


def test_commands_and_the_report_have_the_unit(folder: Path, evidence: Evidence) -> None:
    bundle, images, truth = folder / "brightness.evb", folder / "images", folder / "truth.csv"
    assert "brightness " in _run("predict", bundle, images / "000.png", "--save", folder / "drawn")
    assert json.loads(_run("predict", bundle, images / "000.png", "--json"))["values"][0]["unit"] == "%"
    measured = _run("evaluate", bundle, images, "--truth", truth)
    assert "MAE" in measured
    assert "note: brightness: bias" in measured
    compared = _run("compare", bundle, bundle, images, "--truth", truth)
    assert "RMSE" in compared
    write_report(bundle, folder / "report.html")
    assert "Bland and Altman" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_linear_output_is_asked_for_and_a_regression_is_among_the_answers(folder: Path) -> None:
    with pytest.raises(OptionError, match="if the model estimates values, pass --task regress"):
        convert(
            folder / "brightness.keras",
            folder / "other.evb",
            targets=["onnx-cpu"],
            precisions=["float32"],
            evaluation=folder / "images",
        )
