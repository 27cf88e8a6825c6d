"""Observers: called after every answer, failure and load; never in the way, and free where nobody looks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.errors import InferenceError, InputError, OptionError
from edgevision.observation import observers
from edgevision.plugins import registry
from edgevision.testing.models import (
    fake_classifier,
    fake_detector,
    fake_generator,
    fake_image_to_image,
)
from evaluation.tiny_bundle import write_tiny_bundle

PHOTO = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


class Seen:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    @ev.hookimpl
    def edgevision_model_loaded(self, model: Any, path: Path) -> None:
        self.events.append(("loaded", (model, path)))

    @ev.hookimpl
    def edgevision_inferred(self, observation: ev.Observation) -> None:
        self.events.append(("inferred", observation))

    @ev.hookimpl
    def edgevision_failed(self, observation: ev.Observation) -> None:
        self.events.append(("failed", observation))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


MODELS = {
    "classifier": lambda: fake_classifier(["a", "b"], [0.25, 0.75]),
    "detector": lambda: fake_detector(["cat"], [("cat", 0.9, (1.0, 2.0, 5.0, 6.0))]),
    "image to image": lambda: fake_image_to_image(lambda image: image),
}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, ev.GeneratedImages):
        return bool(np.array_equal(first.images, second.images))
    return bool(first.to_dict() == second.to_dict())


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_an_answer_is_told_with_its_frame_and_is_the_same_as_without_observers(make: Any) -> None:
    model = make()
    expected = model(PHOTO, color="bgr")
    with ev.observe(Seen()) as seen:
        result = model(PHOTO, color="bgr")
    assert same(result, expected)
    ((kind, told),) = seen.events
    assert (kind, told.status, told.model, told.error) == ("inferred", "ok", model, None)
    assert told.result is result
    assert np.array_equal(told.image.pixels, PHOTO)
    assert told.image.color == "bgr"
    assert told.times_ms["call"] > 0
    model(PHOTO)
    assert len(seen.events) == 1  # it observes no more


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_each_image_of_a_batch_is_told_once_in_its_order(make: Any, count: int) -> None:
    model = make()
    batch = [PHOTO + number for number in range(count)]
    expected = model(batch)
    with ev.observe(Seen()) as seen:
        results = model(batch)
    assert len(results) == len(expected) == count
    assert all(map(same, results, expected))
    assert [told.result for _, told in seen.events] == results
    assert all(
        np.array_equal(told.image.pixels, image) for (_, told), image in zip(seen.events, batch, strict=True)
    )


def test_methods_for_batches_are_observed_too() -> None:
    classifier, detector = MODELS["classifier"](), MODELS["detector"]()
    with ev.observe(Seen()) as seen:
        classifier.classify_batch(np.stack([PHOTO, PHOTO]))
        detector.detect_batch([PHOTO], task=detector.task)
        assert len(detector(PHOTO, score_threshold=0.95)) == 0
    assert seen.kinds == ["inferred"] * 4


def test_a_generator_is_observed_without_an_image() -> None:
    model = fake_generator(lambda vector, label: np.full((32, 32, 3), abs(vector[0]) * 9, np.uint8))
    expected = model.sample(2, seed=1)
    with ev.observe(Seen()) as seen:
        made = model.sample(2, seed=1)
        model.interpolate(1, 2, 3)
    assert same(made, expected)
    assert seen.kinds == ["inferred", "inferred"]
    assert seen.events[0][1].image is None


def test_a_failure_is_told_and_raised_as_without_observers() -> None:
    def broken(image: Any) -> Any:
        raise InferenceError("the network broke")

    model = fake_classifier(["a", "b"], broken)
    with ev.observe(Seen()) as seen:
        with pytest.raises(InferenceError, match="the network broke"):
            model(PHOTO)
        with pytest.raises(InputError):
            model(b"no image")
        with pytest.raises(OptionError):  # the caller's mistake, and no event of the model
            MODELS["detector"]()(PHOTO, score_threshold=7)
    assert seen.kinds == ["failed", "failed"]
    first, second = (told for _, told in seen.events)
    assert first.status.startswith("failed: InferenceError")
    assert "the network broke" in first.status
    assert first.image is not None
    assert isinstance(first.error, InferenceError)
    assert second.image is None


def test_loading_a_model_is_told(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = write_tiny_bundle(tmp_path / "tiny.evb")
    with ev.observe(Seen()) as seen, ev.load(path) as model:
        assert seen.events == [("loaded", (model, path))]


class Broken:
    @ev.hookimpl
    def edgevision_inferred(self, observation: ev.Observation) -> None:
        raise ValueError("cannot count")


class Exiting:
    @ev.hookimpl
    def edgevision_inferred(self) -> None:
        raise SystemExit(3)


@pytest.mark.parametrize("broken", [Broken, Exiting])
def test_an_observer_that_raises_breaks_nothing_and_is_logged_once(
    broken: type, caplog: pytest.LogCaptureFixture
) -> None:
    model, failures = MODELS["classifier"](), observers.failures
    with caplog.at_level(logging.WARNING), ev.observe(broken()), ev.observe(Seen()) as seen:
        for _ in range(3):
            assert model(PHOTO).top()[0].label == "b"
    assert seen.kinds == ["inferred"] * 3
    assert observers.failures == failures + 3
    said = [record.getMessage() for record in caplog.records if broken.__name__ in record.getMessage()]
    assert len(said) == 1
    assert "edgevision_inferred" in said[0]


def test_a_plugin_observes_from_its_registration_on() -> None:
    seen = Seen()
    plugins = registry()
    plugins.register(seen, "watching")
    observers.set(plugins.observers())
    try:
        MODELS["classifier"]()(PHOTO)
    finally:
        plugins.manager.unregister(seen)
        observers.set(plugins.observers())
    assert seen.kinds == ["inferred"]


class Unmarked:
    def edgevision_inferred(self, observation: ev.Observation) -> None: ...


class Misspelled:
    @ev.hookimpl
    def edgevision_inferred(self, observatoin: ev.Observation) -> None: ...


class Nothing: ...


@pytest.mark.parametrize(
    ("observer", "message"),
    [
        (Unmarked(), "not marked with @edgevision.hookimpl"),
        (Misspelled(), "observatoin"),
        (Nothing(), "expected an object with one of the methods"),
        (Seen, "expected an object"),
        (None, "expected an object"),
        (3, "expected an object"),
    ],
)
def test_what_cannot_observe_is_refused_and_leaves_no_trace(observer: Any, message: str) -> None:
    before = registry().manager.list_name_plugin()
    for _ in range(2):
        with pytest.raises(OptionError, match=message), ev.observe(observer):
            pass
    assert registry().manager.list_name_plugin() == before
    assert not observers.listening


def test_an_observer_observes_once_at_a_time() -> None:
    seen = Seen()
    with ev.observe(seen):
        with pytest.raises(OptionError, match="observes already"), ev.observe(seen):
            pass
        MODELS["classifier"]()(PHOTO)
    with ev.observe(seen):
        MODELS["classifier"]()(PHOTO)
    assert seen.kinds == ["inferred", "inferred"]


def test_where_nobody_observes_no_code_of_observers_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "call", None)
    monkeypatch.setattr(observers, "tell", None)
    monkeypatch.setattr("edgevision.tasks.base.TaskModel.unobserved", None)
    for make in MODELS.values():
        model = make()
        model(PHOTO)
        model([PHOTO])


def test_a_journal_observes(tmp_path: Path) -> None:
    model = MODELS["classifier"]()
    with ev.Journal(tmp_path / "runs.db") as journal, ev.observe(journal):
        model(PHOTO)
        with pytest.raises(InputError):
            model(b"no image")
        observers.tell(
            ev.Observation(model, "dropped: newer frame", facts={"index": 7, "source": "camera 0"})
        )
    with ev.read_journal(tmp_path / "runs.db") as reader:
        rows = [row for row in reader if row.kind in ("answer", "dropped")]
    assert [(row.kind, row.status.partition(":")[0]) for row in rows] == [
        *(("answer", "ok"), ("answer", "failed"), ("dropped", "dropped")),
    ]
    assert rows[0].document["answer"]["times_ms"]["call"] > 0
    assert rows[2].document["answer"] == {"index": 7, "source": "camera 0", "times_ms": {}}
