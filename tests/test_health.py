"""Health by name, from real inferences on known answers: on a simulated clock, in process and isolated."""

from __future__ import annotations

import gc
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
from edgevision.errors import InferenceError, OptionError
from edgevision.health import STATES
from edgevision.isolation.session import _Supervision
from edgevision.journal.reader import read_journal
from edgevision.session import _WatchedLease
from edgevision.testing import SimulatedClock, fake_classifier
from tiny_bundles import classifier_artifact, write_artifacts

FRAME = np.zeros((8, 8, 3), np.uint8)


class Network:
    """A network that answers, errs, fails or hangs, as a test says."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock, self.does, self.runs = clock, "answer", 0

    def __call__(self, image: Any) -> list[float]:
        self.runs += 1
        if self.does == "fail":
            raise RuntimeError("the driver was reset")
        if self.does == "hang":
            self.clock.sleep(1000)
        return [0.9, 0.1] if self.does == "err" else [0.25, 0.75]


class Heard:
    def __init__(self) -> None:
        self.states: list[tuple[str | None, str]] = []

    @ev.hookimpl
    def edgevision_health_changed(self, health: ev.Health, before: ev.Health | None) -> None:
        self.states.append((before and before.state, health.state))


_watched: list[tuple[SimulatedClock, Any]] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Let the threads of simulated clocks end."""
    yield
    while _watched:
        clock, model = _watched.pop()
        model.close()
        clock.sleep(2000)


def watched(every_s: float = 10, **limits: Any) -> tuple[SimulatedClock, Network, Any]:
    clock = SimulatedClock()
    network = Network(clock)
    model = fake_classifier(["a", "b"], network)
    model.watch(ev.HealthChecks(every_s, **limits), clock)
    _watched.append((clock, model))
    return clock, network, model


def test_a_model_that_nobody_watches_is_checked_when_it_is_asked() -> None:
    network = Network(SimulatedClock())
    model = fake_classifier(["a", "b"], network)
    assert model.health(check=False).state == "starting"
    assert network.runs == 0
    health = model.health()
    assert (health.state, health.reason, health.checks, network.runs) == ("ok", "", 1, 1)
    network.does = "err"
    assert str(model.health()).startswith("failed: InferenceError: output 'scores' is not what it was")
    network.does = "answer"
    assert model.health().state == "ok"
    model.close()
    assert model.health().state == "stopped"


def test_checks_run_by_their_schedule_and_never_more_often() -> None:
    clock, network, model = watched(every_s=10)
    clock.sleep(0.5)
    assert model.health().state == "ok"
    clock.sleep(95)
    assert network.runs == 10
    assert model.health() == model.health()  # asking runs nothing
    assert network.runs == 10
    model.close()
    clock.sleep(30)
    assert (network.runs, clock.alive) == (10, 0)


@pytest.mark.parametrize(("fault", "reason"), [("err", "is not what it was"), ("fail", "driver was reset")])
def test_a_network_that_errs_or_fails_is_failed_until_a_check_is_good(fault: str, reason: str) -> None:
    clock, network, model = watched()
    heard = Heard()
    with ev.observe(heard):
        clock.sleep(1)
        network.does = fault
        clock.sleep(10)
        health = model.health()
        assert health.state == "failed"
        assert reason in health.reason
        assert not health.usable
        assert (health.checks, health.failed_checks) == (2, 1)
        failed_at = health.since.monotonic_ns
        clock.sleep(10)
        assert model.health().since.monotonic_ns == failed_at
        network.does = "answer"
        clock.sleep(10)
        assert model.health().state == "ok"
        model.close()
    assert heard.states == [(None, "ok"), ("ok", "failed"), ("failed", "ok"), ("ok", "stopped")]


def test_a_check_that_hangs_makes_the_model_stale_and_is_not_repeated_meanwhile() -> None:
    clock, network, model = watched(every_s=10, stale_after_s=25)
    heard = Heard()
    with ev.observe(heard):
        clock.sleep(1)
        network.does = "hang"
        clock.sleep(20)
        assert model.health().state == "ok"
        clock.sleep(20)
        health = model.health()
        assert health.state == "stale"
        assert health.last_answer_s == pytest.approx(41, abs=1)
        assert network.runs == 2
        network.does = "answer"
        clock.sleep(1000)
        assert model.health().state == "ok"
        model.close()
    assert heard.states == [(None, "ok"), ("ok", "stale"), ("stale", "ok"), ("ok", "stopped")]


def test_answers_to_calls_count_as_well() -> None:
    clock, _network, model = watched(every_s=100)
    clock.sleep(50)
    assert model.health().last_answer_s == pytest.approx(50)
    model(FRAME)
    assert model.health().last_answer_s == 0
    model.close()


def test_a_model_that_is_forgotten_leaves_no_thread() -> None:
    before = threading.active_count()
    model = fake_classifier(["a", "b"], [0.5, 0.5])
    model.watch(ev.HealthChecks(0.01))
    time.sleep(0.05)
    assert threading.active_count() > before
    del model
    gc.collect()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"every_s": 0}, "every_s: expected seconds"),
        ({"every_s": 10, "stale_after_s": 5}, "stale_after_s: expected 10 s or more"),
        ({"return_after": 0}, "return_after"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        ev.HealthChecks(**arguments)


def test_a_schedule_is_set_once() -> None:
    _, _, model = watched()
    with model, pytest.raises(OptionError, match="already"):
        model.watch(ev.HealthChecks())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    path = tmp_path_factory.mktemp("health") / "m.evb"
    return write_artifacts(path, {"tflite-float32": classifier_artifact()})


@pytest.mark.parametrize("isolate", [False, True], ids=["in process", "isolated"])
def test_a_bundle_is_checked_against_its_known_answers(bundle: Path, isolate: bool) -> None:
    with ev.load(bundle, isolate=isolate) as model:
        health = model.health()
        assert health.state == "ok"
        assert health.bundle_digest == model.bundle_digest
        assert health.to_dict()["backend"] == "tflite"
        for _ in range(8):
            assert model.health().state == "ok"
        wrong = _WrongSlots(model.session)
        assert model.health().state == "failed"
        assert "does not give its known answers" in model.health().reason
        wrong.undo()
        assert model.health().state == "ok"


class _WrongSlots:
    """Lets a session answer wrongly from now on."""

    def __init__(self, session: Any) -> None:
        self._session, self._lease = session, session._lease
        session._lease = lambda batch: _WatchedLease(self._lease(batch), _Wrong)

    def undo(self) -> None:
        self._session._lease = self._lease


class _Wrong:
    def __init__(self, slot: Any) -> None:
        self.inputs, self._slot = slot.inputs, slot

    def run(self) -> dict[str, Any]:
        return {name: 1 - values for name, values in self._slot.run().items()}


def test_an_isolated_runtime_that_is_killed_is_well_again_and_was_restarted(bundle: Path) -> None:
    with ev.load(bundle, isolate=True) as model:
        assert model.health().restarts == 0
        supervision = model.session._session._supervision
        assert isinstance(supervision, _Supervision)
        os.kill(supervision._running.process.pid, signal.SIGKILL)
        health = model.health()
        assert (health.state, health.restarts) == ("ok", 1)


def test_an_isolated_runtime_that_is_given_up_is_failed(bundle: Path) -> None:
    with ev.load(bundle, isolate=ev.Isolation(most_restarts=0)) as model:
        os.kill(model.session._session._supervision._running.process.pid, signal.SIGKILL)
        health = model.health()
        assert health.state == "failed"
        assert "not replaced again" in health.reason


def test_health_is_in_the_journal_and_the_metrics(bundle: Path, tmp_path: Path) -> None:
    with (
        ev.Journal(tmp_path / "j.db") as journal,
        ev.observe(journal),
        ev.observe(ev.Metrics()) as metrics,
        ev.load(bundle, health_every_s=0.02) as model,
    ):
        deadline = time.monotonic() + 10
        while model.health().state != "ok" and time.monotonic() < deadline:
            time.sleep(0.01)
        lines = [line for line in metrics.text().splitlines() if line.startswith("edgevision_health{")]
        assert len(lines) == len(STATES)
        assert sum(line.endswith(" 1") for line in lines) == 1
        assert next(line for line in lines if 'state="ok"' in line).endswith(" 1")
    with read_journal(tmp_path / "j.db") as reader:
        states = [row.document["status"] for row in reader if row.kind == "health"]
    assert "health ok" in states
    assert states[-1] == "health stopped: the model is closed"


def test_a_session_that_raises_something_else_is_failed_too() -> None:
    def broken(image: Any) -> list[float]:
        raise InferenceError("no more memory")

    model = fake_classifier(["a", "b"], broken)
    assert model.health().reason == "InferenceError: no more memory"
