"""Degraded mode: what answers when a model fails, on a simulated clock, and on real runtimes."""

from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevision as ev
from edgevision.errors import (
    BundleError,
    DeviceError,
    InferenceError,
    InputError,
    OptionError,
    RequirementsError,
)
from edgevision.journal.reader import read_journal
from edgevision.tasks.alternatives import with_alternatives
from edgevision.testing import SimulatedClock, fake_classifier, fake_detector
from streaming.video_files import write_video
from tiny_bundles import classifier_artifact, nchw, write_artifacts
from tiny_onnx import tiny_onnx_bytes

FRAME = np.zeros((8, 8, 3), np.uint8)


class Network:
    """Answers with its own number, unless it is told otherwise."""

    def __init__(self, number: int) -> None:
        self.share, self.does, self.runs = (number + 1) / 8, "answer", 0

    def __call__(self, image: Any) -> list[float]:
        self.runs += 1
        if self.does == "fail" or (self.does == "fail when bright" and image.max() > 1):
            raise InferenceError(f"driver of {self.share:g} was reset")
        share = 1 - self.share if self.does == "err" else self.share
        return [share, 1 - share]


class Case:
    def __init__(self, count: int = 3, absent: str = "", **limits: Any) -> None:
        self.clock = SimulatedClock()
        self.networks = [Network(number) for number in range(count)]
        models = [fake_classifier(["a", "b"], network) for network in self.networks]
        for number, model in enumerate(models):
            model.bundle_digest = f"bundle {number}"
        names = [f"model {number}" for number in range(count)]
        self.model: Any = with_alternatives(models, names, absent, ev.HealthChecks(10, **limits), self.clock)
        self.clock.sleep(1)

    def answering(self) -> int:
        """The number of the model that answers a call."""
        return round(float(self.model(FRAME).scores[0]) * 8) - 1


@pytest.fixture
def case() -> Iterator[Any]:
    made: list[Case] = []

    def make(*arguments: Any, **named: Any) -> Case:
        made.append(Case(*arguments, **named))
        return made[-1]

    yield make
    for one in made:
        one.model.close()
        one.clock.sleep(1000)
        assert one.clock.alive == 0


def test_the_call_that_fails_is_answered_by_the_next_and_so_are_those_after_it(case: Any) -> None:
    one = case()
    assert (one.answering(), one.model.health().state) == (0, "ok")
    one.networks[0].does = "fail"
    assert one.answering() == 1
    runs = one.networks[0].runs
    assert one.answering() == 1
    assert one.networks[0].runs == runs
    health = one.model.health()
    assert (health.state, health.bundle_digest) == ("degraded", "bundle 1")
    assert health.reason == "model 1 answers: model 0: InferenceError: driver of 0.125 was reset"
    one.networks[1].does = "fail"
    assert one.answering() == 2
    assert one.model.bundle_digest == "bundle 2"
    assert [len(one.model.classify_batch([FRAME] * 2)), one.model.scores([FRAME]).shape] == [2, (1, 2)]


def test_where_no_model_answers_the_error_is_raised_and_nothing_is_switched(case: Any) -> None:
    one = case()
    for network in one.networks:
        network.does = "fail"
    with pytest.raises(InferenceError, match=r"driver of 0.125 was reset"):
        one.model(FRAME)
    for network in one.networks:
        network.does = "answer"
    assert one.answering() == 0


def test_an_image_that_cannot_be_read_is_no_reason_to_switch(case: Any) -> None:
    one = case()
    with pytest.raises(InputError):
        one.model(b"no image")
    assert one.model.health().state == "ok"
    assert [network.runs for network in one.networks] == [1, 1, 1]  # the checks


def test_a_wrong_known_answer_switches_without_a_call(case: Any) -> None:
    one = case()
    one.networks[0].does = "err"
    one.clock.sleep(10)
    assert one.model.health().state == "degraded"
    assert one.answering() == 1


def test_a_fallback_that_is_unwell_itself_is_passed_over(case: Any) -> None:
    one = case()
    one.networks[1].does = "err"
    one.clock.sleep(10)
    assert one.model.health().state == "ok"
    one.networks[0].does = "fail"
    assert one.answering() == 2


@pytest.mark.parametrize(("return_after", "expected"), [(None, [1, 1, 1, 1]), (2, [1, 1, 0, 0])])
def test_it_returns_after_so_many_good_checks_and_else_never(
    case: Any, return_after: int | None, expected: list[int]
) -> None:
    one = case(return_after=return_after)
    one.networks[0].does = "fail"
    found = [one.answering()]
    one.networks[0].does = "answer"
    for _ in range(3):
        one.clock.sleep(10)
        found.append(one.answering())
    assert found == expected


def test_a_bad_check_begins_the_count_of_good_ones_anew(case: Any) -> None:
    one = case(return_after=2)
    one.networks[0].does = "fail"
    assert one.answering() == 1
    for does in ("answer", "err", "answer"):
        one.networks[0].does = does
        one.clock.sleep(10)
    assert one.answering() == 1
    one.clock.sleep(10)
    assert one.answering() == 0


def test_all_models_fail_their_checks(case: Any) -> None:
    one = case(2)
    for network in one.networks:
        network.does = "err"
    one.clock.sleep(10)
    assert one.model.health().state == "failed"


def test_the_first_may_be_missing(case: Any) -> None:
    one = case(1, "model x cannot be loaded: DeviceError: no such device")
    assert one.model.health().state == "degraded"
    assert "model x cannot be loaded" in one.model.health().reason


def test_results_of_a_stream_say_which_model_answered(case: Any) -> None:
    one = case()
    one.networks[0].does = "fail when bright"
    frames = [np.full((8, 8, 3), number, np.uint8) for number in range(4)]
    settings = ev.StreamSettings(workers=1)
    digests = []
    for _, result in one.model.stream(frames, "wait", settings=settings, clock=one.clock):
        assert result.status == "ok"
        digests.append(result.run.bundle_digest)
        one.clock.sleep(0.1)
    assert digests == ["bundle 0", "bundle 0", "bundle 1", "bundle 1"]
    assert result.to_dict()["bundle_digest"] == "bundle 1"


def test_the_journal_says_of_each_frame_who_answered_it_also_after_a_switch(
    case: Any, tmp_path: Path
) -> None:
    one = case()
    one.networks[0].does = "fail when bright"
    frames = [np.full((8, 8, 3), number, np.uint8) for number in range(4)]
    with ev.Journal(tmp_path / "j.db") as journal, ev.observe(journal):
        settings = ev.StreamSettings(workers=4)
        for _, result in one.model.stream(frames, "wait", settings=settings, clock=one.clock):
            one.clock.sleep(1)  # the others are answered meanwhile
            assert result.status == "ok"
    with read_journal(tmp_path / "j.db") as reader:
        rows = [row.document["bundle_digest"] for row in reader if row.kind == "answer"]
    assert rows == ["bundle 0", "bundle 0", "bundle 1", "bundle 1"]


def test_a_model_with_fallbacks_that_is_forgotten_leaves_no_thread() -> None:
    before = threading.active_count()
    models = [fake_classifier(["a", "b"], [0.5, 0.5]) for _ in range(2)]
    model = with_alternatives(models, ["one", "two"], "", ev.HealthChecks(0.01))
    time.sleep(0.05)
    assert threading.active_count() > before
    del model, models
    gc.collect()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_each_switch_is_an_event_and_a_row_of_the_journal(case: Any, tmp_path: Path, caplog: Any) -> None:
    with ev.Journal(tmp_path / "j.db") as journal, ev.observe(journal):
        one = case(2)
        one.networks[0].does = "fail"
        one.answering()
        one.model.close()
    assert "model 1 answers from now on instead of model 0" in caplog.text
    with read_journal(tmp_path / "j.db") as reader:
        rows = [row.document for row in reader]
    found = [
        (row["status"].partition(":")[0], row.get("bundle_digest")) for row in rows if row["kind"] == "health"
    ]
    assert found == [
        ("health ok", "bundle 0"),
        ("health degraded", "bundle 1"),
        ("health stopped", "bundle 1"),
    ]
    answers = [row["bundle_digest"] for row in rows if row["kind"] == "answer"]
    assert answers[-1] == "bundle 1"


def test_a_fallback_must_answer_the_same_question() -> None:
    first = fake_classifier(["a", "b"], [0.5, 0.5])
    for other in (fake_classifier(["a", "c"], [0.5, 0.5]), fake_detector(["a", "b"], [])):
        with pytest.raises(OptionError, match="another task or other labels"):
            with_alternatives([first, other], ["one", "two"], "", ev.HealthChecks())


def test_a_model_with_fallbacks_is_a_model_of_its_class(case: Any) -> None:
    one = case()
    assert isinstance(one.model, ev.Classifier)
    assert one.model.labels == ("a", "b")
    with pytest.raises(OptionError, match="no argument"):
        one.model.stream([FRAME], settings=ev.StreamSettings(call={"score_threshold": 0.5}))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path_factory.mktemp("fallback") / "m.evb"
    return write_artifacts(path, {"tflite-float32": classifier_artifact()})


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="needs the extra `onnx`")
    from edgevision.artifact import Artifact
    from edgevision.plugins import registry

    graph = (
        registry()
        .backend("onnx")
        .editable_graph(Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()}))
    )
    graph.set_outputs({"scores": graph.output("scores")})
    path = tmp_path_factory.mktemp("fallback") / "other.evb"
    return write_artifacts(path, {"onnx-float32": graph.artifact()}, how=nchw())


def test_another_runtime_takes_over_from_one_that_was_killed_for_good(bundle: Path, other: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    isolate = ev.Isolation(most_restarts=0)
    with ev.load(other) as alone:
        expected = alone(frame).scores
    with ev.load(bundle, isolate=isolate, fallback=[other]) as model:
        assert not np.allclose(model(frame).scores, expected)
        assert model.session.backend == "tflite"
        os.kill(model.session._session._supervision._running.process.pid, signal.SIGKILL)
        assert model(frame).scores == pytest.approx(expected, abs=1e-3)
        assert model.session.backend == "onnx"
        health = model.health(check=True)
        assert (health.state, health.backend) == ("degraded", "onnx")


def test_the_first_may_be_missing_on_a_machine_and_a_fallback_may_not(
    bundle: Path, other: Path, caplog: Any
) -> None:
    with ev.load(bundle, device="npu:7", fallback=[other]) as model:
        assert model.session.backend == "onnx"
        assert model.health(check=True).state == "degraded"
    assert "its fallback answers" in caplog.text
    with pytest.raises(DeviceError):
        ev.load(bundle, fallback=[ev.Fallback(device="npu:7")])
    with pytest.raises(BundleError):
        ev.load(bundle.parent / "none.evb", fallback=[other])


def test_requirements_hold_for_each(bundle: Path, other: Path) -> None:
    with pytest.raises(RequirementsError, match="required tflite, found onnx"):
        ev.load(bundle, require=ev.Requirements(backend="tflite"), fallback=[other])


@pytest.mark.parametrize(
    ("stated", "reason"),
    [("tflite", "put it in a list"), (3, "fallback"), ([3], "fallback"), ([None], "fallback")],
)
def test_what_is_no_fallback_is_refused(bundle: Path, stated: Any, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        ev.load(bundle, fallback=stated)
    with pytest.raises(OptionError, match="the same model again"):
        ev.Fallback()


def test_the_command_line_streams_with_a_fallback(
    bundle: Path, other: Path, tmp_path: Path, edgevision_command: Any
) -> None:
    clip = write_video(tmp_path / "clip.avi", frames=10)
    words = ["stream", bundle, clip, "--device", "npu:7", "--fallback", other, "--jsonl", "out.jsonl"]
    done = edgevision_command(*words)
    assert done.returncode == 0, done.stderr
    assert "health degraded" in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {(row["status"], row["backend"]) for row in rows} == {("ok", "onnx")}
    refused = edgevision_command("stream", bundle, clip, "--fallback", other, "--health-every-s", 0)
    assert refused.returncode == 2
    assert "--fallback: requires checks" in refused.stderr
