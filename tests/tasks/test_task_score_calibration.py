"""Score calibration: as values, as JSON, and in the decisions of a classifier."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from edgevision.errors import OptionError
from edgevision.imaging.preprocess import Preprocessing
from edgevision.session import open_session
from edgevision.tasks.classify import Classification, Classifier
from edgevision.tasks.score_calibration import OperatingPoint, ScoreCalibration, score_calibration_from
from edgevision.tensors import TensorSpec
from edgevision.testing import FakeBackend

POINT = OperatingPoint("mole", 1, 0.25, "sensitivity", 0.95)
LABELS = ("skin", "mole")


def _classifier(calibration: ScoreCalibration | None, labels=LABELS) -> Classifier:
    """A network whose scores are the red and green of a plain image."""
    image, scores = (
        TensorSpec("image", (None, 4, 4, 3), "float32"),
        TensorSpec("scores", (None, 2), "float32"),
    )
    backend = FakeBackend(answers=lambda inputs: {"scores": inputs["image"].mean(axis=(1, 2))[:, :2] / 256})
    session = open_session(backend, backend.artifact([image], [scores]))
    return Classifier(
        session, Preprocessing((4, 4), (0.0, 255.0)), labels, "sigmoid", score_calibration=calibration
    )


def _plain(red: int, green: int) -> np.ndarray:
    return np.full((4, 4, 3), (red, green, 0), np.uint8)


def test_a_class_is_predicted_from_its_threshold_on_whichever_class_is_the_best() -> None:
    model = _classifier(ScoreCalibration(None, POINT))
    decided = {green: model(_plain(192, green)).positive for green in (63, 64, 128)}
    assert decided == {63: False, 64: True, 128: True}
    assert model(_plain(192, 64)).top()[0].label == "skin"
    assert [one.positive for one in model([_plain(0, 0), _plain(0, 255)])] == [False, True]


def test_without_an_operating_point_there_is_no_decision() -> None:
    result = _classifier(None)(_plain(0, 255))
    assert result.positive is None
    assert "operating_point" not in result.to_dict()


def test_the_decision_is_part_of_the_json_values() -> None:
    result = Classification(np.array([0.75, 0.25], np.float32), LABELS, operating_point=POINT)
    document = json.loads(json.dumps(result.to_dict(1)))
    assert document["operating_point"] == {
        "label": "mole",
        "class_id": 1,
        "score": 0.25,
        "threshold": 0.25,
        "positive": True,
    }
    assert [one["label"] for one in document["classes"]] == ["skin"]


@pytest.mark.parametrize(
    "calibration", [None, ScoreCalibration(1.5), ScoreCalibration(0.5, POINT), ScoreCalibration(None, POINT)]
)
def test_a_score_calibration_survives_json(calibration: ScoreCalibration | None) -> None:
    document = None if calibration is None else json.loads(json.dumps(asdict(calibration)))
    assert score_calibration_from(document) == calibration


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 1.5}, "threshold: expected 0 to 1, got 1.5"),
        ({"threshold": None}, "threshold: expected 0 to 1"),
        ({"class_id": -1}, "class_id: expected 0 or more"),
        ({"positive": 3}, "positive: expected the name of a class"),
        ({"metric": "recall"}, "metric: expected one of sensitivity, specificity, precision, got 'recall'"),
        ({"at_least": 1.0}, "sensitivity: expected above 0 and below 1, got 1.0"),
        ({"at_least": "0.9"}, "sensitivity: expected above 0 and below 1, got '0.9'"),
    ],
)
def test_an_invalid_operating_point_is_refused(changes, message: str) -> None:
    document = {"temperature": None, "operating_point": {**asdict(POINT), **changes}}
    with pytest.raises(OptionError, match=message):
        score_calibration_from(document)


def test_a_document_of_another_form_is_refused() -> None:
    for document in ({}, {"temperature": 1.0}, {"temperature": 1.0, "operating_point": {"positive": "mole"}}):
        with pytest.raises(OptionError, match="expected a temperature and an operating point"):
            score_calibration_from(document)


@pytest.mark.parametrize("labels", [("mole", "skin"), ("skin", "wart")])
def test_a_class_of_interest_must_be_in_the_labels_at_its_index(labels) -> None:
    with pytest.raises(OptionError, match="class 1 of the labels is not 'mole'; convert again"):
        _classifier(ScoreCalibration(None, POINT), labels)
