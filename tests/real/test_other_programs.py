"""MediaPipe Tasks and OpenVINO Model API read our files, and give our answers on real pictures.

They need an environment of their own: MediaPipe brings another OpenCV, and Model API an older one.
``EDGEVISION_PEERS_PYTHON`` names its Python, in which ``pip install ".[benchmarks]"`` was run; CI makes one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgevision
from edgevision.artifact import read_artifact
from edgevision.description import ModelDescription
from edgevision.plugins import registry
from edgevision.tasks.description import ClassifyTask
from edgevision.tasks.options import TaskOptions
from edgevision.tasks.score_calibration import ScoreCalibration
from tiny_bundles import classifier_artifact, write_artifacts

VARIABLE = "EDGEVISION_PEERS_PYTHON"
ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"


@pytest.fixture(scope="module")
def peers() -> str:
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f'needs {VARIABLE}, a Python with pip install "edgevision[benchmarks]"')
    return python


def answers_of(python: str, kind: str, path: Path, images: list[Path]) -> Any:
    words = [python, Path(__file__).with_name("other_programs.py"), kind, path, *images]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_same_classes(answers: Any, model: Any, images: list[Path], atol: float) -> None:
    """The label and the score of the best class of each image."""
    expected = [model(image).top(1)[0] for image in images]
    assert [rows[0][0].replace("_", " ") for rows in answers] == [one.label for one in expected]
    np.testing.assert_allclose([rows[0][1] for rows in answers], [one.score for one in expected], atol=atol)


@pytest.fixture(scope="module")
def digits(quickstart: Path) -> tuple[Path, list[Path]]:
    folder = quickstart / "quickstart"
    return folder / "digits.evb", sorted((folder / "evaluation").rglob("*.png"))[::12]


@pytest.mark.convert
def test_mediapipe_classifies_as_an_int8_bundle_does(
    peers: str, digits: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    bundle, images = digits
    edgevision.export(bundle, tmp_path / "digits.tflite", form="mediapipe")
    found = answers_of(peers, "mediapipe-classifier", tmp_path / "digits.tflite", images)
    with edgevision.load_classifier(bundle, "tflite") as model:
        assert_same_classes(found, model, images, 1e-5)


@pytest.mark.convert
@pytest.mark.parametrize("artifact", ["openvino-int8/model.xml", "onnx-int8-symmetric/model.onnx"])
def test_model_api_classifies_as_the_artifact_in_the_bundle_does(
    peers: str, digits: tuple[Path, list[Path]], artifact: str
) -> None:
    bundle, images = digits
    path = bundle / "artifacts" / artifact
    found = answers_of(peers, "model-api-classifier", path, images)
    with edgevision.load_classifier(path, "openvino") as model:  # without an option
        # Model API lets OpenVINO choose the precision: bfloat16, where the processor has it.
        assert_same_classes(found, model, images, 0.03)


def test_mediapipe_classifies_photos_as_a_float32_artifact_does(
    peers: str, shared: Path, tmp_path: Path
) -> None:
    """By the metadata that every conversion writes. Of the network's size: each resizes in its own way."""
    how = {
        "size_wh": [224, 224],
        "value_range": [-1.0, 1.0],
        "resize": "stretch",
        "interpolation": "bilinear",
        "color": "rgb",
        "mean": [0.0],
        "scale": [1.0],
        "layout": "nhwc",
        "pad_value": 0,
    }
    source = shared / "models" / "mobilenet_v1_0.25_224_metadata.tflite"
    with edgevision.load_classifier(source, "tflite") as model:
        labels, output = tuple(model.labels), model.session.outputs[0].name
    task = {"name": "classify", "output": output, "score_kind": "softmax"}
    backend: Any = registry().backend("tflite")
    written = backend.write_description(read_artifact(source), ModelDescription(task, how, labels))
    assert written.notes == ()
    path = tmp_path / "mobilenet.tflite"
    path.write_bytes(written.artifact.content)
    images = []
    for photo in sorted((shared / "images").glob("*.jpg")):
        images.append(tmp_path / f"{photo.stem}.png")
        cv2.imwrite(str(images[-1]), cv2.resize(cv2.imread(str(photo)), (224, 224)))
    found = answers_of(peers, "mediapipe-classifier", path, images)
    with edgevision.load_classifier(path, "tflite") as model:
        assert_same_classes(found, model, images, 1e-3)


@pytest.mark.parametrize("network", ["tiny.tflite", "tiny_int8.tflite"])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_mediapipe_applies_temperatures_and_normalizations_per_channel(
    peers: str, tmp_path: Path, network: str, kind: str
) -> None:
    precision = "int8" if "int8" in network else "float32"
    bundle = write_artifacts(
        tmp_path / "tiny.evb",
        {f"tflite-{precision}": classifier_artifact(network)},
        task=ClassifyTask("scores", kind),
        score_calibration=ScoreCalibration(1.7),
    )
    edgevision.export(bundle, tmp_path / "tiny.tflite", form="mediapipe")
    picture = np.random.default_rng(5).integers(0, 256, (8, 8, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "picture.png"), picture[..., ::-1])
    (found,) = answers_of(peers, "mediapipe-classifier", tmp_path / "tiny.tflite", [tmp_path / "picture.png"])
    with edgevision.load_classifier(bundle) as model:
        expected = dict(zip(model.labels, model.scores([picture])[0].tolist(), strict=True))
    assert dict(found) == pytest.approx(expected, abs=1e-3)


@pytest.fixture(scope="module")
def detector(peers: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A bundle of the digits' detector in float32 and int8, and scenes with digits."""
    pytest.importorskip("tensorflow", reason="needs the extra `convert`")
    folder = tmp_path_factory.mktemp("detector")
    words = ("detector.py", "scenes", folder / "scenes", "--count", "24", "--calibration", "24")
    subprocess.run([sys.executable, *words], cwd=DIGITS, check=True, capture_output=True)
    labels = DIGITS / "labels.txt"
    task = TaskOptions(labels=labels, decoder="heatmap", decoder_settings={"size_unit": "root-share"})
    edgevision.convert(
        DIGITS / "detector.keras",
        folder / "detector.evb",
        targets=["raspberry-pi-5", "intel-cpu"],
        precisions=["float32"],
        evaluation=folder / "scenes" / "evaluation",
        settings=edgevision.ConversionSettings(task),
    )
    return folder / "detector.evb", sorted((folder / "scenes" / "evaluation").iterdir())


@pytest.mark.convert
@pytest.mark.parametrize(
    ("kind", "form", "name"),
    [
        ("mediapipe-detector", "mediapipe", "out.tflite"),
        ("model-api-detector", "openvino-model-api", "out.xml"),
    ],
)
def test_a_detector_finds_there_what_it_finds_here(
    peers: str, detector: tuple[Path, list[Path]], tmp_path: Path, kind: str, form: str, name: str
) -> None:
    bundle, images = detector
    edgevision.export(bundle, tmp_path / name, form=form)
    answers = answers_of(peers, kind, tmp_path / name, images)
    with edgevision.load_detector(bundle, "tflite" if form == "mediapipe" else "openvino") as model:
        expected = [model(image, score_threshold=0.4) for image in images]
    assert sum(map(len, expected)) > len(images)
    for rows, objects in zip(answers, expected, strict=True):
        # MediaPipe also suppresses boxes of another class, and cuts corners down to whole pixels.
        assert len(rows) <= len(objects)
        assert len(rows) == len(objects) or form == "mediapipe"
        for label, score, corners in rows:
            near = [
                one
                for one in objects
                if one.label == label and np.abs(np.array(one.box) - corners).max() <= 2
            ]
            assert near, (label, corners)
            assert min(abs(one.score - score) for one in near) <= 0.02
