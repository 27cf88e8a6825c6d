"""load_classifier(), load_detector(), load_generator(): the type is known, or the call raises."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_bundles import CLASSIFY, DETECT, GENERATE, FakeRuntime, registry_of, write_fake_bundle

from edgevision.errors import OptionError
from edgevision.loading import load as loading
from edgevision.loading.load import load, load_classifier, load_detector, load_generator
from edgevision.session import CheckedSession
from edgevision.tasks import model_types
from edgevision.tasks.classify import Classifier
from edgevision.tasks.description import Task
from edgevision.tasks.detect import Detector
from edgevision.tasks.generation.latent import LatentGenerator

CASES = [
    (CLASSIFY, load_classifier, Classifier),
    (DETECT, load_detector, Detector),
    (GENERATE, load_generator, LatentGenerator),
]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    backend = FakeRuntime("fake")
    monkeypatch.setattr(loading, "registry", lambda: registry_of(backend))
    return backend


@pytest.mark.parametrize(("task", "load_it", "kind"), CASES, ids=["classifier", "detector", "generator"])
def test_a_model_of_the_task_is_loaded_with_the_arguments_of_load(
    tmp_path: Path, task: Task, load_it: Callable[..., Classifier], kind: type
) -> None:
    path = write_fake_bundle(tmp_path / "model.evb", task)
    with load_it(str(path), "fake", "cpu", threads=2, precision="float32", selftest="always") as model:
        assert isinstance(model, kind)
        assert (model.session.backend, model.session.threads) == ("fake", 2)
    with pytest.raises(OptionError, match="has no artifact of precision 'int8'"):
        load_it(path, precision="int8")
    with pytest.raises(TypeError, match="unexpected keyword argument 'presicion'"):
        load_it(path, presicion="int8")


@pytest.mark.parametrize(
    ("task", "got", "load_it", "expected"),
    [
        (DETECT, "detector", load_classifier, "classifier"),
        (GENERATE, "generator", load_classifier, "classifier"),
        (CLASSIFY, "classifier", load_detector, "detector"),
        (CLASSIFY, "classifier", load_generator, "generator"),
    ],
)
def test_a_model_of_another_task_is_closed_and_refused_by_name(
    tmp_path: Path,
    task: Task,
    got: str,
    load_it: Callable[..., object],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []
    close = CheckedSession.close
    monkeypatch.setattr(CheckedSession, "close", lambda self: (closed.append(str(self)), close(self))[1])
    path = write_fake_bundle(tmp_path / "model.evb", task)
    message = f"model.evb: expected a {expected}, got a {got}; load it with edgevision.load_{got}"
    with pytest.raises(OptionError, match=re.escape(message)):
        load_it(path, tune=False)
    assert closed == ["fake on cpu, float32"]


def test_what_load_returns_has_a_type_that_can_be_evaluated(tmp_path: Path) -> None:
    model = load(write_fake_bundle(tmp_path / "model.evb"), "fake")
    assert isinstance(model, model_types.Model)
    with pytest.raises(AttributeError, match="no attribute 'Mode'"):
        _ = model_types.Mode  # type: ignore[attr-defined]
