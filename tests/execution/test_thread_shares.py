"""Cores are shared out between the threads of a set of images and those of the runtime."""

from __future__ import annotations

import os

import pytest

from edgevision.backend import SessionSettings
from edgevision.execution.thread_shares import shared_out, turn_on
from edgevision.system.cores import cores


def test_cores_are_shared_between_workers_and_the_threads_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.execution.thread_shares.cores", lambda: 4)
    default = SessionSettings()
    assert shared_out(default, 100) == (4, SessionSettings(threads=1))
    assert shared_out(default, 3) == (3, SessionSettings(threads=1))
    assert shared_out(default, 1) == (1, default), "one block alone gets what the runtime takes by itself"
    assert shared_out(SessionSettings(threads=2), 100) == (2, SessionSettings(threads=2))
    assert shared_out(SessionSettings(threads=3), 100) == (1, SessionSettings(threads=3))
    assert shared_out(SessionSettings(threads=8), 100) == (1, SessionSettings(threads=8))
    assert shared_out(SessionSettings("cuda:0"), 100) == (4, SessionSettings("cuda:0"))


def test_devices_other_than_the_cpu_run_one_call_at_a_time() -> None:
    with turn_on("cpu") as _, turn_on("cuda:0"):
        pass
    gpu = turn_on("cuda:0")
    with gpu:
        assert not gpu.acquire(blocking=False)  # type: ignore[attr-defined]
    assert 1 <= cores() <= (os.cpu_count() or 1)
