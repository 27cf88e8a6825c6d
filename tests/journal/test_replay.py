"""Replaying kept frames through another model."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.errors import InferenceError, JournalError, OptionError
from edgevision.journal.decisions import compared
from edgevision.testing.models import fake_classifier, fake_detector

PHOTO = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def recorded(path: Path, model: Any, images: Any) -> Path:
    with ev.Journal(path, frames="all") as journal:
        for image in images:
            journal.record(model(image), image, model=model)
    return path


def bright(image: Any) -> list[float]:
    share = float(image.mean()) / 255
    return [1 - share, share]


def test_the_same_model_decides_the_same(tmp_path: Path) -> None:
    model = fake_classifier(["dark", "bright"], bright)
    path = recorded(tmp_path / "runs.db", model, [PHOTO, PHOTO // 4, PHOTO // 4 + 190])
    rows = list(ev.replay_journal(path, model))
    assert [(row.seq, row.differs, row.score_difference) for row in rows] == [
        *((2, False, 0.0), (3, False, 0.0), (4, False, 0.0))
    ]


def test_a_model_that_decides_otherwise_is_found_frame_by_frame(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "runs.db", fake_classifier(["dark", "bright"], bright), [PHOTO // 4, PHOTO // 4 + 190]
    )
    rows = list(ev.replay_journal(path, fake_classifier(["bright", "dark"], [0.9, 0.1])))
    assert [row.differs for row in rows] == [True, False]
    assert rows[0].recorded.startswith("dark")
    assert rows[0].replayed == "bright 90.0%"
    assert rows[0].to_dict()["seq"] == 2


def test_a_model_that_fails_now_or_failed_then_differs(tmp_path: Path) -> None:
    def broken(image: Any) -> Any:
        raise InferenceError("broken")

    good, bad = fake_classifier(["a", "b"], [0.2, 0.8]), fake_classifier(["a", "b"], broken)
    with ev.Journal(tmp_path / "runs.db", frames="all") as journal:
        journal.record(good(PHOTO), PHOTO, model=good)
        journal.record({"status": "failed: broken"}, PHOTO, model=bad)
    then, now = (list(ev.replay_journal(tmp_path / "runs.db", model)) for model in (good, bad))
    assert [row.differs for row in then] == [False, True]
    assert [row.differs for row in now] == [True, False]
    assert now[0].replayed == "failed: broken"


def test_objects_are_compared_by_class_and_place(tmp_path: Path) -> None:
    first = fake_detector(["cat", "dog"], [("cat", 0.9, (1, 1, 9, 9)), ("dog", 0.8, (2, 2, 12, 12))])
    path = recorded(tmp_path / "runs.db", first, [PHOTO])
    for objects, differs in [
        ([("dog", 0.7, (2, 2, 12, 12)), ("cat", 0.9, (1, 1, 9, 9.5))], False),
        ([("cat", 0.9, (1, 1, 9, 9))], True),
        ([("cat", 0.9, (1, 1, 9, 9)), ("cat", 0.8, (2, 2, 12, 12))], True),
        ([], True),
    ]:
        (row,) = ev.replay_journal(path, fake_detector(["dog", "cat"], objects))
        assert row.differs is differs, objects
    (row,) = ev.replay_journal(path, lambda frame: first(frame, score_threshold=0.85))
    assert (row.recorded, row.replayed) == ("1 cat, 1 dog", "1 cat")


def test_an_operating_point_is_a_decision() -> None:
    def result(positive: bool) -> dict[str, Any]:
        classes = [{"label": "a", "score": 0.7, "class_id": 0}, {"label": "b", "score": 0.3, "class_id": 1}]
        point = {"label": "b", "class_id": 1, "score": 0.3, "threshold": 0.2, "positive": positive}
        return {"multi_label": False, "classes": classes, "operating_point": point}

    assert not compared(result(True), result(True)).differs
    assert compared(result(True), result(False)).differs


def test_independent_classes_are_compared_as_a_set() -> None:
    def result(*scores: float) -> dict[str, Any]:
        classes = [{"label": label, "score": score} for label, score in zip("abc", scores, strict=True)]
        return {"multi_label": True, "classes": classes}

    assert not compared(result(0.9, 0.6, 0.1), result(0.6, 0.9, 0.4)).differs
    assert compared(result(0.9, 0.6, 0.1), result(0.9, 0.4, 0.1)).differs
    assert compared(result(0.9, 0.6, 0.1), result(0.9, 0.4, 0.1)).score_difference == pytest.approx(0.2)


def test_a_model_of_another_task_is_refused(tmp_path: Path) -> None:
    path = recorded(tmp_path / "runs.db", fake_classifier(["a", "b"], [0.2, 0.8]), [PHOTO])
    with pytest.raises(OptionError, match="another task"):
        list(ev.replay_journal(path, fake_detector(["cat"], [])))
    bad: Any
    for bad in (None, "model", ev.Classifier):
        with pytest.raises(OptionError, match="model"):
            list(ev.replay_journal(path, bad))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM frames",
        "UPDATE frames SET content = x'00'",
        "UPDATE frames SET content = (SELECT content FROM frames WHERE seq = 3) WHERE seq = 2",
    ],
)
def test_a_frame_that_is_not_the_recorded_one_is_not_replayed(tmp_path: Path, statement: str) -> None:
    model = fake_classifier(["a", "b"], [0.2, 0.8])
    path = recorded(tmp_path / "runs.db", model, [PHOTO, PHOTO + 1])
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(JournalError, match="row 2"):
        list(ev.replay_journal(path, model))
