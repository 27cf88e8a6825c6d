"""The costs of runs: measured in turn in processes of their own, with the load of the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgevision.artifact import read_artifact
from edgevision.backend import SessionSettings
from edgevision.errors import InferenceError
from edgevision.execution import run_costs as module
from edgevision.execution.run_costs import (
    RunCosts,
    RunSubject,
    Timing,
    is_slower,
    run_costs,
    run_costs_in_turn,
    slowdown,
)
from edgevision.system.machine import busy_seconds

pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")

ARTIFACT = read_artifact(Path(__file__).parents[1] / "data" / "tiny.tflite")
SUBJECT = RunSubject(ARTIFACT, "tflite", SessionSettings(threads=1))
TIMING = Timing(10, 1.0, 0.9, 1.2, 0.5, 0.1, 2)


def _costs(*rounds_ms: float) -> RunCosts:
    return RunCosts(1.0, 50.0, TIMING, rounds_ms)


def test_every_artifact_has_its_times_and_memory() -> None:
    found = run_costs_in_turn({"a": SUBJECT, "b": SUBJECT})
    assert list(found) == ["a", "b"]
    for costs in found.values():
        assert isinstance(costs, RunCosts)
        timing = costs.timing
        assert 0 < timing.least_ms <= costs.latency_ms <= timing.p95_ms
        assert timing.cpu_ms > 0
        assert timing.runs >= len(costs.rounds_ms) == 5
        assert costs.peak_memory_mb > 10
        assert timing.cores >= 1
        assert timing.load_average is None or timing.load_average >= 0


def test_the_runs_of_artifacts_are_interleaved_and_only_one_runs_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    burst = module._Process.burst

    def recorded(process: module._Process, seconds: float) -> None:
        order.append(process._subject.artifact.name)
        burst(process, seconds)

    monkeypatch.setattr(module._Process, "burst", recorded)
    other = replace(ARTIFACT, files={"other.tflite": ARTIFACT.content})
    run_costs_in_turn({"a": SUBJECT, "b": replace(SUBJECT, artifact=other)})
    a, b = "tiny.tflite", "other.tflite"
    assert order == [a, b, b, a, a, b, b, a, a, b], "each round begins with another one"


def test_one_that_fails_does_not_take_the_others_with_it() -> None:
    broken = replace(ARTIFACT, files={"broken.tflite": b"TFL3 is not all"})
    found = run_costs_in_turn({"broken": replace(SUBJECT, artifact=broken), "whole": SUBJECT})
    assert isinstance(found["broken"], InferenceError)
    assert str(found["broken"]).startswith("broken.tflite: failed in a process of its own: ")
    assert isinstance(found["whole"], RunCosts)
    with pytest.raises(InferenceError, match=r"broken\.tflite: failed in a process of its own"):
        run_costs(broken, "tflite", SessionSettings())


def test_a_process_that_dies_in_a_run_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    burst = module._Process.burst

    def killed(process: module._Process, seconds: float) -> None:
        process._worker._process.kill()
        process._worker._process.wait()
        burst(process, seconds)

    monkeypatch.setattr(module._Process, "burst", killed)
    (found,) = run_costs_in_turn({"a": SUBJECT}).values()
    assert isinstance(found, InferenceError)
    assert str(found).startswith("tiny.tflite: killed by SIGKILL (out of memory?) in a process of its own")


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.01)
    with pytest.raises(InferenceError, match=r"timed out after 0\.01 s"):
        run_costs(ARTIFACT, "tflite", SessionSettings())


@pytest.mark.parametrize(
    ("busy_cores", "remark"),
    [
        (None, ""),
        (0.5, ""),
        (0.51, "other programs kept 0.5 of 2 cores busy (load average 3.0)"),
        (1.8, "other programs kept 1.8 of 2 cores busy (load average 3.0)"),
    ],
)
def test_a_busy_machine_is_remarked(busy_cores: float | None, remark: str) -> None:
    assert replace(TIMING, load_average=3.0, busy_cores=busy_cores).busy == remark


def test_the_load_of_other_programs_is_the_time_that_was_not_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter((100.0, 130.0))
    monkeypatch.setattr(module, "busy_seconds", lambda: next(seconds))
    clock = iter((0.0, 20.0, 20.0))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(module.time, "process_time", lambda: 3.0)
    _, busy_cores = module._Load().told(measured_s=10.0)
    assert busy_cores == 1.0, "30 s in 20 s, of which 10 were measured"


def test_the_system_reports_time_that_only_grows() -> None:
    before = busy_seconds()
    if before is None:
        pytest.skip("this system does not report it")
    sum(range(2_000_000))
    after = busy_seconds()
    assert after is not None
    assert after >= before > 0


@pytest.mark.parametrize(
    ("first", "second", "ratio", "slower"),
    [
        ((1.2, 1.2, 1.2, 1.2, 1.2), (1, 1, 1, 1, 1), 1.2, True),
        ((1.05, 1.05, 1.05, 1.05, 1.05), (1, 1, 1, 1, 1), 1.05, False),
        ((2, 2, 2, 2, 2), (4, 4, 4, 4, 4), 0.5, False),
        ((1.2, 1.2, 0.5, 1.2, 1.2), (1, 1, 1, 1, 1), 1.2, True),  # one round of five was disturbed
        ((1.3, 0.9, 0.9, 1.3, 1.3), (1, 1, 1, 1, 1), 1.3, False),  # noise
        ((9.0, 1.2, 1.2, 1.2, 1.2), (7.5, 1, 1, 1, 1), 1.2, True),  # a load that slowed both
    ],
)
def test_slower_is_by_a_share_and_beyond_noise(
    first: tuple[float, ...], second: tuple[float, ...], ratio: float, slower: bool
) -> None:
    assert slowdown(_costs(*first), _costs(*second)) == pytest.approx(ratio)
    assert is_slower(_costs(*first), _costs(*second), 0.10) is slower
