"""export(): what is written gives the bundle's answers, and what a program cannot take is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision import hookimpl
from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.errors import ConversionError, OptionError, OutputError, PluginError
from edgevision.export_format import ExportedFiles, ExportedModel
from edgevision.exporting import check
from edgevision.imaging.preprocess import Preprocessing
from edgevision.plugins import discover, registry
from edgevision.session import open_session
from edgevision.tasks.description import ClassifyTask, DetectTask
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration
from tiny_bundles import (
    CLASSIFY,
    DETECT,
    LABELS,
    RGB,
    classifier_artifact,
    detector_artifact,
    nchw,
    write_artifacts,
)
from tiny_onnx import tiny_onnx_bytes

DATA = Path(__file__).parents[1] / "data"
CALIBRATED = ScoreCalibration(1.7, OperatingPoint("pear", 1, 0.2, "sensitivity", 0.9))


@pytest.fixture(scope="session")
def detectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny detector in ONNX and OpenVINO."""
    folder = tmp_path_factory.mktemp("detectors")
    onnx = Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})
    openvino = pytest.importorskip("edgevision_openvino.runtime").import_openvino()
    openvino.save_model(openvino.Core().read_model(onnx.content), folder / "tiny.xml", compress_to_fp16=False)
    artifacts = {"openvino-float32": read_artifact(folder / "tiny.xml"), "onnx-float32": onnx}
    made = {name: detector_artifact(artifact) for name, artifact in artifacts.items()}
    return write_artifacts(folder / "detectors.evb", made, task=DETECT, how=nchw())


def found_by(path: Path, picture: Any, **options: Any) -> Any:
    with edgevision.load_detector(path, **options) as model:
        found = model(picture)
    return [(one.label, round(one.score, 3), [round(float(x), 2) for x in one.box]) for one in found]


@pytest.fixture
def picture() -> Any:
    return np.random.default_rng(5).integers(0, 256, (24, 40, 3), np.uint8)


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny_int8.tflite"])
@pytest.mark.parametrize("calibration", [None, CALIBRATED])
@pytest.mark.parametrize("how", [RGB, Preprocessing((8, 8), (0.0, 1.0))], ids=["per channel", "plain"])
def test_a_classifier_for_mediapipe(
    tmp_path: Path, picture: Any, name: str, calibration: Any, how: Preprocessing
) -> None:
    precision = "int8" if "int8" in name else "float32"
    artifact = classifier_artifact(name)
    bundle = write_artifacts(
        tmp_path / "tiny.evb", {f"tflite-{precision}": artifact}, how=how, score_calibration=calibration
    )
    done = edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")
    assert done.files == (tmp_path / "out.tflite",)
    with edgevision.load_classifier(bundle) as model:
        expected = model.scores([picture])
    with edgevision.load_classifier(tmp_path / "out.tflite") as model:
        (spec,) = model.session.inputs
        # It takes no int8, and of float32 no normalization per channel.
        assert spec.dtype == ("uint8" if precision == "int8" or how is RGB else "float32")
        assert spec.shape[0] == 1
        np.testing.assert_allclose(model.scores([picture]), expected, atol=0.01)
        assert model.score_calibration.temperature is None
    assert bool(done.notes) == (calibration is not None)  # the threshold is the caller's to apply


def test_logits_get_their_softmax(tmp_path: Path, picture: Any) -> None:
    bundle = write_artifacts(
        tmp_path / "tiny.evb",
        {"tflite-float32": classifier_artifact(logits=True)},
        task=ClassifyTask("scores", "logits"),
        score_calibration=CALIBRATED,
    )
    edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")
    raw = raw_outputs(tmp_path / "out.tflite", picture)
    assert raw["scores"].sum() == pytest.approx(1, abs=1e-5)
    with edgevision.load_classifier(bundle) as model:
        np.testing.assert_allclose(raw["scores"], model.scores([picture]), atol=1e-5)


def raw_outputs(path: Path, picture: Any) -> Any:
    """The outputs of a file, without what EdgeVision applies to them."""
    with edgevision.load_classifier(path) as model, model.session.lease(1) as slot:
        model.preprocess(picture, slot.inputs[model.session.inputs[0].name][0])
        return slot.run()


def test_a_detector_for_mediapipe_has_boxes_and_scores(tmp_path: Path, picture: Any) -> None:
    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite"))
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": artifact}, task=DETECT)
    edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")
    made = read_artifact(tmp_path / "out.tflite")
    with open_session(registry().backend("tflite"), made, SessionSettings()) as session:
        assert {each.name: each.shape for each in session.outputs} == {
            "boxes": (1, 12, 4),
            "scores": (1, 12, 5),
        }
    assert b"DETECTOR_METADATA" in made.content
    expected = found_by(bundle, picture)
    assert expected
    assert_same(found_by(tmp_path / "out.tflite", picture), expected)


def assert_same(found: Any, expected: Any) -> None:
    assert [(label, box) for label, _, box in found] == [(label, box) for label, _, box in expected]
    np.testing.assert_allclose([one[1] for one in found], [one[1] for one in expected], atol=0.002)


def test_a_detector_for_model_api_has_the_output_of_yolov8(
    tmp_path: Path, detectors: Path, picture: Any
) -> None:
    done = edgevision.export(detectors, tmp_path / "out.xml", form="openvino-model-api")
    assert [path.name for path in done.files] == ["out.xml", "out.bin"]
    made = read_artifact(tmp_path / "out.xml")
    with open_session(registry().backend("openvino"), made, SessionSettings()) as session:
        assert [each.shape for each in session.outputs] == [(1, 9, 12)]
    assert b'<model_type value="YOLOv8"/>' in made.content
    assert_same(found_by(tmp_path / "out.xml", picture), found_by(detectors, picture))


@pytest.mark.parametrize("name", ["openvino-float32", "onnx-float32"])
def test_a_detector_for_frigate_takes_pixels(
    tmp_path: Path, detectors: Path, picture: Any, name: str
) -> None:
    done = edgevision.export(detectors, tmp_path / "frigate", form="frigate", artifact=name)
    assert {path.name for path in done.files} >= {"labelmap.txt", "frigate.yml"}
    assert (tmp_path / "frigate" / "labelmap.txt").read_text().splitlines()[:2] == ["0 red apple", "1 pear"]
    network = done.files[0]
    backend = registry().backend(name.partition("-")[0])
    with open_session(backend, read_artifact(network), SessionSettings()) as session:
        assert session.inputs[0].dtype == "uint8"
        assert [each.shape for each in session.outputs] == [(1, 9, 12)]
    assert_same(found_by(network, picture), found_by(detectors, picture))
    yaml = pytest.importorskip("yaml")
    document = yaml.safe_load((tmp_path / "frigate" / "frigate.yml").read_text())
    assert document["model"]["model_type"] == "yolo-generic"
    assert document["model"]["path"].endswith(network.name)
    assert (document["model"]["input_tensor"], document["model"]["input_dtype"]) == ("nchw", "int")


REFUSED = {
    "letterbox for mediapipe": (
        "mediapipe",
        {"how": replace(RGB, resize="letterbox")},
        "resized by letterbox",
    ),
    "bgr for mediapipe": ("mediapipe", {"how": replace(RGB, color="bgr")}, "BGR images"),
    "a classifier for frigate": ("frigate", {}, "Frigate cannot take a model of task .classify."),
    "other labels": ("mediapipe", {"task": DETECT, "labels": LABELS[:4]}, "5 classes with 4 labels"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_program_cannot_take_is_refused_by_name(tmp_path: Path, case: str) -> None:
    form, options, message = REFUSED[case]
    detects = "task" in options
    artifact = detector_artifact(read_artifact(DATA / "tiny.tflite")) if detects else classifier_artifact()
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": artifact}, **options)
    with pytest.raises((ConversionError, OptionError), match=message):
        edgevision.export(bundle, tmp_path / "out.tflite", form=form)
    assert not (tmp_path / "out.tflite").exists()


def test_a_decoder_without_a_graph_is_refused_by_name(tmp_path: Path) -> None:
    graph: Any = (
        registry().backend("tflite").editable_graph(detector_artifact(read_artifact(DATA / "tiny.tflite")))
    )
    rows = graph.concatenate([graph.output("b"), graph.part(graph.output("s"), 2, 0, 2)], 2)
    graph.set_outputs({"rows": rows})
    task = DetectTask("yolo-end2end", {"output": "rows", "box_unit": "share"})
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": graph.artifact()}, task=task)
    with pytest.raises(ConversionError, match="cannot take the outputs of decoder 'yolo-end2end'"):
        edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")


def test_independent_scores_are_not_for_model_api(tmp_path: Path, detectors: Path) -> None:
    graph: Any = (
        registry().backend("onnx").editable_graph(Artifact("onnx", "float32", {"m": tiny_onnx_bytes()}))
    )
    graph.set_outputs({"scores": graph.output("scores")})
    bundle = write_artifacts(
        tmp_path / "tiny.evb",
        {"onnx-float32": graph.artifact()},
        task=ClassifyTask("scores", "sigmoid"),
        how=nchw(),
    )
    with pytest.raises(ConversionError, match="independent scores: it applies a sigmoid"):
        edgevision.export(bundle, tmp_path / "out.xml", form="openvino-model-api")


def test_an_export_with_other_answers_is_not_written(tmp_path: Path, monkeypatch: Any) -> None:
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    monkeypatch.setattr(check, "_difference", lambda *_: 0.4)
    with pytest.raises(
        ConversionError, match="does not give the bundle's answers on tflite: a score is off by 0.4"
    ):
        edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")
    assert not (tmp_path / "out.tflite").exists()


def test_names_of_forms_artifacts_and_files_are_checked(tmp_path: Path, detectors: Path) -> None:
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    with pytest.raises(PluginError, match="no export format 'mediapip'; did you mean 'mediapipe'"):
        edgevision.export(bundle, tmp_path / "out.tflite", form="mediapip")
    with pytest.raises(OptionError, match="has no artifact 'int8' that mediapipe is made from"):
        edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe", precision="int8")
    with pytest.raises(OutputError, match="or a name that ends in .tflite"):
        edgevision.export(bundle, tmp_path / "out.onnx", form="mediapipe")
    with pytest.raises(OutputError, match="pass a folder with -o"):
        edgevision.export(detectors, tmp_path / "out.xml", form="frigate")
    edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")
    with pytest.raises(OutputError, match="already exists; pass --force"):
        edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe")
    edgevision.export(bundle, tmp_path / "out.tflite", form="mediapipe", force=True)


class Upper:
    """Another program's form, from a plugin: the same file, under a name of its own."""

    name, summary, formats = "upper", "a program that reads upper case", ("tflite",)

    def export(self, model: ExportedModel) -> ExportedFiles:
        files = {"MODEL.tflite": model.artifact.content}
        made = Artifact("tflite", model.artifact.precision, files)
        return ExportedFiles(made, model.description, {"READ.ME": model.id.encode()}, ("read READ.ME",))


def test_a_plugin_adds_a_form(tmp_path: Path, monkeypatch: Any) -> None:
    class Plugin:
        @hookimpl
        def edgevision_export_formats(self):
            return [Upper(), "not a form"]

    own = registry()
    found = discover([])
    for name in ("tflite", "decoders"):
        found.register(own.manager.get_plugin(name), name)
    found.register(Plugin(), "mine")
    monkeypatch.setattr("edgevision.exporting.export.registry", lambda: found)
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()})
    done = edgevision.export(bundle, tmp_path / "out", form="upper")
    assert (tmp_path / "out" / "READ.ME").read_bytes() == b"tflite-float32"
    assert (done.notes, done.difference) == (("read READ.ME",), 0.0)
    with edgevision.load_classifier(tmp_path / "out" / "MODEL.tflite") as model:  # it describes itself
        assert model.labels == LABELS
    (problem,) = found.problems
    assert problem.plugin == "mine"
    assert "returned str without" in problem.reason


def test_the_command_names_the_files_and_the_check(tmp_path: Path, edgevision_command: Any) -> None:
    bundle = write_artifacts(tmp_path / "tiny.evb", {"tflite-float32": classifier_artifact()}, task=CLASSIFY)
    done = edgevision_command("export", bundle, "--for", "mediapipe", "-o", "out.tflite", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["files"] == ["out.tflite"]
    assert (document["artifact"], document["checked_on"]) == ("tflite-float32", "tflite")
    done = edgevision_command("export", bundle, "--for", "frigat", "-o", "out")
    assert done.returncode == 6
    assert "did you mean 'frigate'" in done.stderr
