"""What a viewer of a classifier's stream sees: its decision, its prediction set, and why it abstained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevision import Classifier, OperatingPoint, StreamSettings
from edgevision.errors import OptionError
from edgevision.imaging.pixels import Pixels
from edgevision.preview.card import card_of
from edgevision.preview.live import Live
from edgevision.tasks.prediction_sets import PredictionSets
from edgevision.testing import fake_classifier

POINT = OperatingPoint("cat", 0, 0.3, "sensitivity", 0.95)


def _model(sets: PredictionSets | None = None) -> Classifier:
    """A classifier whose score of a cat is the brightness of the image."""
    cat = lambda image: [image.mean() / 255, 1 - image.mean() / 255]  # noqa: E731
    model = fake_classifier(["cat", "dog"], cat, operating_point=POINT)
    model.score_calibration = replace(model.score_calibration, prediction_sets=sets)
    return model


def _frames(*brightnesses: int) -> Iterator[Pixels]:
    for brightness in brightnesses:
        yield np.full((32, 32, 3), brightness, np.uint8)


def _seen(model: Classifier, brightness: int, **call: Any) -> dict[str, Any]:
    """The newest frame as the page gets it."""
    stream = model.stream(_frames(brightness), settings=StreamSettings(call=call))
    live = Live(stream, lambda frame, result: frame.pixels)
    for frame, result in stream:
        live.add(frame, result)
    seen: dict[str, Any] = live.to_dict()["frame"]
    return seen


def test_the_decision_is_beside_the_classes() -> None:
    seen = _seen(_model(), 102)
    assert [one["label"] for one in seen["found"]] == ["dog", "cat"]
    assert seen["verdicts"] == ["cat: yes (40.0% >= 30.0%)"]
    assert _seen(_model(), 51)["verdicts"] == ["cat: no (20.0% < 30.0%)"]


def test_an_abstention_shows_what_is_plausible() -> None:
    sets = PredictionSets("lac", 0.9, 0.65, 100)
    sure = _seen(_model(sets), 255)
    assert (sure["state"], sure["verdicts"][1]) == ("ok", "plausible: cat")
    unsure = _seen(_model(sets), 115)
    assert unsure["status"] == "abstained: 2 classes are plausible"
    assert [one["label"] for one in unsure["found"]] == ["dog", "cat"]
    assert unsure["verdicts"][1] == "plausible: dog, cat (abstained)"


def test_below_its_operating_point_it_abstains_if_it_was_told_to() -> None:
    model = _model()
    model.abstain_below_operating_point = True
    seen = _seen(model, 51)
    assert seen["status"] == "abstained: below the operating point of 'cat'"
    assert seen["verdicts"] == ["cat: abstained (20.0% < 30.0%)"]


def test_the_operating_point_can_be_moved_while_the_stream_runs() -> None:
    model = _model()
    stream = model.stream(_frames(102, 102, 102, 102), "wait", settings=StreamSettings(workers=1))
    (slider,) = card_of(Path("robot.evb"), model, stream)["thresholds"]
    assert (slider["name"], slider["value"]) == ("operating_threshold", 0.3)
    assert slider["hint"].endswith("evaluated was 0.3")
    decisions = []
    for frame, result in stream:
        decisions.append(result.value.positive)
        if frame.index == 0:
            Live(stream, lambda frame, result: frame.pixels).change_call({"operating_threshold": 0.5})
    assert (decisions[0], decisions[-1]) == (True, False)
    assert model(next(_frames(102))).positive  # a call of its own is not changed


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
def test_a_threshold_is_a_share(value: object) -> None:
    with pytest.raises(OptionError, match="operating_threshold: expected 0 to 1"):
        _model().stream([], settings=StreamSettings(call={"operating_threshold": value}))
    with pytest.raises(OptionError, match="operating_threshold: expected 0 to 1"):
        _model()(next(_frames(1)), operating_threshold=value)  # type: ignore[call-overload]


def test_a_model_without_an_operating_point_has_none_to_move() -> None:
    model = fake_classifier(["a", "b"], [0.5, 0.5])
    with pytest.raises(OptionError, match="this model has no operating point"):
        model(next(_frames(1)), operating_threshold=0.5)
    assert card_of(Path("robot.evb"), model, model.stream([]))["thresholds"] == []
