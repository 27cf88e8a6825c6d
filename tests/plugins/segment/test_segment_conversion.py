"""A U-Net through the command line: converted to int8 for three runtimes, with evidence, and run."""

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
from segment_shapes import LABELS, shapes, trained, write_shapes

from edgevision.bundle.manifest import to_json
from edgevision.bundle.schema import manifest_schema
from edgevision.bundle.storage import read_bundle
from edgevision.conversion.convert import ConversionSettings, convert
from edgevision.errors import OptionError
from edgevision.evaluation.evaluate import evaluate
from edgevision.evidence.document import evidence_json, read_evidence
from edgevision.evidence.records import Evidence
from edgevision.imaging.input_options import InputOptions
from edgevision.loading.bare import BareModel
from edgevision.loading.load import load
from edgevision.reporting.report import write_report
from edgevision.tasks.options import TaskOptions

pytestmark = [
    pytest.mark.convert,
    # Keras 3.15 with numpy 2 warns of its own conversions.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


def _invoke(name: str, *arguments: object) -> Any:
    command = import_module(f"edgevision.cli.{name}").command
    return CliRunner().invoke(command, [str(each) for each in arguments], standalone_mode=False)


def _run(name: str, *arguments: object) -> Any:
    result = _invoke(name, *arguments)
    assert result.exception is None, result.exception
    return result


@pytest.fixture(scope="module")
def keras() -> Any:
    return pytest.importorskip("keras", reason="needs the extra `convert`")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, keras: Any) -> Path:
    target: Path = tmp_path_factory.mktemp("segments")
    trained(keras, "softmax", len(LABELS)).save(target / "unet.keras")
    write_shapes(target / "evaluation", 60, 1, (48, 40))
    write_shapes(target / "calibration", 40, 2)
    (target / "labels.txt").write_text("\n".join(LABELS), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    return convert(
        folder / "unet.keras",
        folder / "unet.evb",
        targets=["raspberry-pi-5", "intel-cpu", "onnx-cpu"],
        precisions=["int8"],
        calibration=folder / "calibration" / "images",
        evaluation=folder / "evaluation" / "images",
        settings=ConversionSettings(
            task=TaskOptions(labels=folder / "labels.txt", truth=folder / "evaluation" / "masks"),
            accept_not_shown=True,
        ),
    )


def test_int8_keeps_dice_within_half_a_point_on_three_runtimes(evidence: Evidence) -> None:
    assert {result.backend for result in evidence.results} == {"tflite", "openvino", "onnx"}
    for result in evidence.results:
        dice = result.comparison.metric("mean Dice")
        assert dice.source > 0.9, "the network has learned its shapes"
        assert abs(dice.drop) < 0.005
        assert result.comparison.agreement > 0.99
        assert result.comparison.likeness["Dice with the source"] > 0.98
        assert dice.drop_interval is not None


def test_manifest_and_evidence_are_those_of_their_schemas_and_can_be_read(
    folder: Path, evidence: Evidence
) -> None:
    manifest = json.loads(to_json(read_bundle(folder / "unet.evb").manifest))
    assert manifest["task"] == {
        "name": "segment",
        "output": "classes",
        "values": "softmax",
        "axis": "last",
        "threshold": 0.5,
        "overlap": None,
        "grid_wh": None,
    }
    jsonschema.validate(manifest, manifest_schema())
    schemas = files("edgevision.schemas")
    jsonschema.validate(manifest, json.loads(schemas.joinpath("manifest.schema.json").read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**manifest, "task": {**manifest["task"], "axis": "middle"}}, manifest_schema())
    text = evidence_json(evidence)
    jsonschema.validate(json.loads(text), json.loads(schemas.joinpath("evidence.schema.json").read_text()))
    assert evidence_json(read_evidence(text, "evidence.json")) == text


def test_the_loaded_model_finds_the_shapes(folder: Path, evidence: Evidence) -> None:
    images, masks = shapes(8, 99, (48, 40))
    for backend in ("tflite", "openvino", "onnx"):
        with load(folder / "unet.evb", backend) as model:
            found: Any = model(list(images))  # type: ignore[arg-type]
            same = [float((one.class_map == mask).mean()) for one, mask in zip(found, masks, strict=True)]
            assert np.mean(same) > 0.95


def test_commands_predict_evaluate_and_save(folder: Path, evidence: Evidence) -> None:
    bundle, data = folder / "unet.evb", folder / "evaluation"
    result = _run("predict", bundle, data / "images" / "000.png", "--save", folder / "drawn")
    assert "disc" in result.output
    assert cv2.imread(str(folder / "drawn" / "000.png")) is not None
    row = json.loads(_run("predict", bundle, data / "images" / "000.png", "--json").output)
    assert {each["label"] for each in row["classes"]} <= set(LABELS)
    output = _run(
        *("evaluate", bundle, data / "images", "--truth", data / "masks", "--save", folder / "worst")
    ).output
    assert "mean Dice" in output
    assert "of another class than the ground truth" in output
    assert len(list((folder / "worst").glob("worst-*.png"))) == 24
    compared = _run("compare", bundle, bundle, data / "images", "--truth", data / "masks").output
    assert "mean IoU" in compared
    _run("bench", bundle, "--seconds", "0.1")
    _run("selftest", bundle)
    write_report(bundle, folder / "report.html")
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "Changed segmentations" in report
    assert "surface Dice of Nikolov" in report


def test_ground_truth_and_options_of_other_tasks_are_refused(folder: Path, evidence: Evidence) -> None:
    bundle, images = folder / "unet.evb", folder / "evaluation" / "images"
    with pytest.raises(OptionError, match="pass --truth FOLDER, with a PNG of class numbers"):
        evaluate(bundle, images)
    with pytest.raises(OptionError, match="the model segments images"):
        evaluate(bundle, images, annotations=images)
    for option in (("--top", "2"), ("--score-threshold", "0.5")):
        result = _invoke("predict", bundle, images, *option)
        assert "this model is a segmenter; remove it" in str(result.exception)


@pytest.mark.parametrize("in_graph", [False, True])
def test_a_mask_of_one_channel_and_an_argmax_are_asked_for_and_stated(
    tmp_path: Path, keras: Any, in_graph: bool
) -> None:
    model = trained(keras, "softmax" if in_graph else "sigmoid", 3 if in_graph else 1, epochs=4)
    if in_graph:
        classes = keras.ops.argmax(model.output, axis=-1)
        model = keras.Model(model.input, classes)
    model.save(tmp_path / "mask.keras")
    write_shapes(tmp_path, 16, 3)
    labels = LABELS if in_graph else ("disc",)
    (tmp_path / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    arguments: dict[str, Any] = {
        "targets": ["onnx-cpu"],
        "precisions": ["float32"],
        "evaluation": tmp_path / "images",
    }
    stated: Any = {"labels": tmp_path / "labels.txt"}
    with pytest.raises(OptionError, match="segments images, pass --task segment"):
        convert(
            *(tmp_path / "mask.keras", tmp_path / "mask.evb"),
            settings=ConversionSettings(task=TaskOptions(**stated)),
            **arguments,
        )
    stated["task"] = "segment"
    settings = ConversionSettings(task=TaskOptions(**stated), accept_not_shown=True)
    evidence = convert(tmp_path / "mask.keras", tmp_path / "mask.evb", settings=settings, **arguments)
    assert evidence.results[0].comparison.agreement > 0.999
    with load(tmp_path / "mask.evb") as loaded:
        found: Any = loaded(shapes(1, 5)[0][0])
    assert found.labels == (LABELS if in_graph else ("background", "disc"))
    assert (found.scores is None) == in_graph


def test_a_bare_file_segments_with_a_stated_task(tmp_path: Path, folder: Path, evidence: Evidence) -> None:
    artifact = next(
        entry for entry in read_bundle(folder / "unet.evb").manifest.artifacts if entry.format == "onnx"
    )
    import onnx

    network = onnx.load_from_string(read_bundle(folder / "unet.evb").read(artifact.files[0]))
    del network.metadata_props[:]  # as another program would have written it
    onnx.save(network, tmp_path / "unet.onnx")
    bare = BareModel(labels=LABELS, score_kind="softmax", task="segment")
    images, masks = shapes(1, 42)
    with pytest.raises(OptionError, match="--input-range"):
        load(tmp_path / "unet.onnx", bare=bare)
    with load(
        tmp_path / "unet.onnx", bare=BareModel(**{**vars(bare), "image": InputOptions((0, 255))})
    ) as model:
        found: Any = model(images[0])
    assert (found.class_map == masks[0]).mean() > 0.95
