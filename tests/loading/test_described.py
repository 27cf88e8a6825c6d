"""Bare files that describe their model: the answers of the bundle, without an option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision
from edgevision.artifact import Artifact, read_artifact
from edgevision.description import ModelDescription
from edgevision.errors import ArtifactError, OptionError
from edgevision.plugins import registry

DATA = Path(__file__).parents[1] / "data"
LABELS = ("a", "b", "c", "d", "e")
HOW: dict[str, Any] = {
    "size_wh": [8, 8],
    "value_range": [0.0, 1.0],
    "resize": "letterbox",
    "interpolation": "area",
    "color": "bgr",
    "mean": [0.5],
    "scale": [0.25],
    "layout": "nhwc",
    "pad_value": 114,
}
TASK = {"name": "classify", "output": "scores", "score_kind": "softmax"}
POINT = {"positive": "b", "class_id": 1, "threshold": 0.1, "metric": "sensitivity", "at_least": 0.9}
CALIBRATION = {"temperature": 2.5, "operating_point": POINT}


def write(folder: Path, **fields: Any) -> Path:
    """A copy of the tiny network that describes itself."""
    description = ModelDescription(**{**_plain(), **fields})
    backend: Any = registry().backend("tflite")
    artifact: Artifact = backend.write_description(read_artifact(DATA / "tiny.tflite"), description).artifact
    path = folder / "bare.tflite"
    path.write_bytes(artifact.content)
    return path


def _plain() -> dict[str, Any]:
    return {"task": TASK, "preprocessing": HOW, "labels": LABELS, "score_calibration": CALIBRATION}


@pytest.fixture
def picture() -> Any:
    return np.random.default_rng(3).integers(0, 256, (11, 17, 3), np.uint8)


def test_everything_that_a_bundle_says_is_obeyed(tmp_path: Path) -> None:
    with edgevision.load_classifier(write(tmp_path)) as model:
        assert model.labels == LABELS
        assert model.preprocessing.to_dict() == HOW
        assert model.score_calibration.temperature == 2.5
        assert model(np.zeros((4, 4, 3), np.uint8)).positive in (True, False)


def test_a_temperature_changes_the_scores_as_in_the_bundle(tmp_path: Path, picture: Any) -> None:
    with edgevision.load_classifier(write(tmp_path, score_calibration=None)) as model:
        plain = model.scores([picture])[0]
    with edgevision.load_classifier(write(tmp_path)) as model:
        calibrated = model.scores([picture])[0]
    powers = plain ** (1 / 2.5)
    np.testing.assert_allclose(calibrated, powers / powers.sum(), rtol=1e-5)


def test_options_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    image = edgevision.InputOptions(value_range=(0, 255), color="rgb", resize="stretch")
    bare = edgevision.BareModel(image, labels=["v", "w", "x", "y", "z"], score_kind="sigmoid")
    with edgevision.load_classifier(write(tmp_path), bare=bare) as model:
        how = model.preprocessing
        assert (how.value_range, how.mean, how.scale) == ((0.0, 255.0), (0.0,), (1.0,))
        assert (how.color, how.resize, how.interpolation, how.pad_value) == ("rgb", "stretch", "area", 114)
        assert model.labels == ("v", "w", "x", "y", "z")
        assert model.score_calibration.temperature is None  # it was fitted to other classes


def test_a_bit_depth_takes_the_place_of_a_window_that_the_file_states(tmp_path: Path) -> None:
    path = write(tmp_path, preprocessing={**HOW, "window": [2048.0, 4096.0]})
    bare = edgevision.BareModel(edgevision.InputOptions(bit_depth=12))
    with edgevision.load_classifier(path) as model:
        assert model.preprocessing.mapping.window == (2048.0, 4096.0)
    with edgevision.load_classifier(path, bare=bare) as model:
        assert (model.preprocessing.bit_depth, model.preprocessing.window) == (12, None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preprocessing": {**HOW, "color": "infrared"}}, "color"),
        ({"preprocessing": {**HOW, "gamma": 5}}, "unknown field 'gamma'"),
        ({"task": {"name": "pose"}}, "task 'pose' is not supported"),
        ({"score_calibration": {"temperature": -1, "operating_point": None}}, "temperature"),
    ],
)
def test_what_is_said_but_not_understood_is_refused(tmp_path: Path, fields: Any, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        edgevision.load(write(tmp_path, **fields))


def test_options_of_another_task_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="says that it is for task 'classify'"):
        edgevision.load(write(tmp_path), bare=edgevision.BareModel(decoder="yolo"))
    with pytest.raises(OptionError, match="remove the options of another task"):
        edgevision.load(write(tmp_path), bare=edgevision.BareModel(decoder_settings={"anchors": [1]}))


def test_a_file_that_lost_its_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="label"):
        edgevision.load(write(tmp_path, labels=("a", "b"), score_calibration=None))
