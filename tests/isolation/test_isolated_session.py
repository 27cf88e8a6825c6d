"""Whatever a runtime does in a process of its own: its caller gets the answer or a typed error."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from faulty import artifact, command
from own_processes import children, pid_of

from edgevision.backend import SessionSettings
from edgevision.errors import (
    ArtifactError,
    CopyError,
    DeadlineError,
    EdgeVisionError,
    InferenceError,
    InputError,
    OptionError,
    PluginError,
    ProcessError,
    RestartLimitError,
    SessionClosedError,
)
from edgevision.isolation.session import open_isolated
from edgevision.isolation.settings import Isolation
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.testing import FakeBackend, check_backend


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("edgevision"), "disabled", False)
    caplog.set_level(logging.WARNING, logger="edgevision")


#: Command -> the error of the call in flight, and what it says.
ENDS = {
    "exit": (ProcessError, "ended with exit status 3"),
    "segfault": (ProcessError, "killed by SIGSEGV"),
    "abort": (ProcessError, "killed by SIGABRT"),
    "kill": (ProcessError, "killed by SIGKILL"),
    "hang": (DeadlineError, "no answer within 500 ms"),
    "hang with the interpreter locked": (DeadlineError, "no answer within 500 ms"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_runtime_that_ends_or_hangs_fails_its_call_and_the_next_one_is_answered(
    opened, name, caplog
) -> None:
    session = opened(deadline_ms=500)
    session._session._supervision._isolation = Isolation(most_restarts=3)  # the next call waits for the start
    good, first = session.run(command()), pid_of(session)
    kind, text = ENDS[name]
    with pytest.raises(kind, match=text) as caught:
        session.run(command(name))
    assert caught.value.exit_code == 9
    assert "model.fake on faulty" in str(caught.value)
    assert np.array_equal(session.run(command())["scores"], good["scores"])
    assert pid_of(session) != first
    assert first not in children()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "it is replaced (1 of 3 times within 60 s)" in caplog.text


#: Command -> the error, which the runtime survives.
FAILURES = {
    "raise": (InferenceError, "RuntimeError: corrupt scale"),
    "fail": (InferenceError, "^the runtime failed$"),
    "refuse": (InputError, "^input 'image': too dark$"),
    "leave": (InferenceError, "SystemExit: 4"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_error_of_the_runtime_is_the_callers_and_ends_no_process(opened, name) -> None:
    session = opened()
    first = pid_of(session)
    kind, text = FAILURES[name]
    for _ in range(3):
        with pytest.raises(kind, match=text) as caught:
            session.run(command(name))
        assert not isinstance(caught.value, ProcessError)
        session.run(command())
    assert pid_of(session) == first


def test_the_backend_keeps_its_contract_in_a_process_of_its_own(faulty_plugin) -> None:
    from edgevision.isolation.session import IsolatedBackend

    random = np.random.default_rng(0).random((1, 4, 4, 3), np.float32)
    check_backend(IsolatedBackend(registry().backend("faulty"), Isolation()), artifact(), {"image": random})


def test_a_session_without_slots_of_its_own_is_isolated_as_well(opened) -> None:
    """See `test_isolated_models` for runtimes; here a batch, and outputs of other shapes than the specs'."""
    session = opened()
    images = np.random.default_rng(0).random((3, 4, 4, 3), np.float32)
    with open_session(registry().backend("faulty"), artifact()) as plain:
        assert np.array_equal(
            session.run({"image": images})["scores"], plain.run({"image": images})["scores"]
        )
    with session.lease(2) as slot:
        slot.inputs["image"][...] = images[:2]
        first = slot.run()["scores"]
        assert np.array_equal(slot.run()["scores"], first)


def test_a_process_that_ended_between_two_calls_is_replaced_and_no_call_fails(opened) -> None:
    session = opened()
    process = session._session._supervision.running().process
    os.kill(process.pid, signal.SIGKILL)
    _wait_until(lambda: not process.is_alive)
    session.run(command())
    assert pid_of(session) != process.pid


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next(opened, monkeypatch) -> None:
    session = opened()
    other = {"image": np.full((1, 4, 4, 3), 2, np.float32)}
    expected = session.run(other)["scores"]
    with session.lease() as slot:
        slot.inputs["image"][...] = command("sleep")["image"]
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            slot.run()
        slot.inputs["image"][...] = other["image"]
        with pytest.raises(InferenceError, match="failed or was interrupted; lease another one"):
            slot.run()
    for _ in range(3):
        assert np.array_equal(session.run(other)["scores"], expected)


def test_a_standby_takes_over_and_another_one_is_started(opened) -> None:
    session = opened(standby=True)
    supervision = session._session._supervision
    for _ in range(3):
        standby = supervision._standby
        standby.wait(time.monotonic() + 60)
        with pytest.raises(ProcessError):
            session.run(command("segfault"))
        session.run(command())
        assert pid_of(session) == standby.pid
        assert len(children()) == 2


def test_a_standby_that_has_ended_does_not_take_over(opened) -> None:
    session = opened(standby=True)
    standby = session._session._supervision._standby
    os.kill(standby.pid, signal.SIGKILL)
    _wait_until(lambda: not standby.is_alive)
    with pytest.raises(ProcessError):
        session.run(command("segfault"))
    session.run(command())


def test_after_too_many_restarts_it_gives_up_loudly(opened, caplog) -> None:
    session = opened(most_restarts=2, standby=True)
    for _ in range(3):
        with pytest.raises(ProcessError, match="SIGABRT"):
            session.run(command("abort"))
    for _ in range(2):
        with pytest.raises(
            RestartLimitError, match="SIGABRT.*after 2 replacements within 60 s.*load the model"
        ):
            session.run(command())
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR"]
    _wait_until(lambda: not children())


def test_restarts_longer_ago_do_not_count(opened) -> None:
    session = opened(most_restarts=1, within_s=0.2)
    for _ in range(3):
        with pytest.raises(ProcessError):
            session.run(command("exit"))
        session.run(command())
        time.sleep(0.25)


@pytest.mark.parametrize(("how", "kind", "text"), [
    ("its device is gone", ArtifactError, "model.fake: its device is gone"),
    ("segfault", ProcessError, "killed by SIGSEGV"),
])  # fmt: skip
def test_a_new_process_that_cannot_open_the_model_says_why_and_is_tried_again(
    opened, tmp_path, how, kind, text
) -> None:
    broken = tmp_path / "broken"
    session = opened({"broken": str(broken)})
    broken.write_text(how)
    with pytest.raises(ProcessError, match="exit status 3"):
        session.run(command("exit"))
    with pytest.raises(kind, match=text):
        session.run(command())
    broken.unlink()
    for _ in range(2):  # one may have been started before
        try:
            session.run(command())
            return
        except EdgeVisionError:
            continue
    raise AssertionError("it was not tried again")


def test_a_call_waits_for_a_new_process_no_longer_than_its_deadline(opened, tmp_path) -> None:
    broken = tmp_path / "broken"
    session = opened({"broken": str(broken)}, deadline_ms=300)
    broken.write_text("hang")
    with pytest.raises(ProcessError, match="SIGSEGV"):
        session.run(command("segfault"))
    for _ in range(2):
        with pytest.raises(ProcessError, match="is being replaced.*before:.*SIGSEGV"):
            session.run(command())


def test_a_process_that_does_not_start_in_time_is_replaced_as_well(opened, tmp_path) -> None:
    broken = tmp_path / "broken"
    session = opened({"broken": str(broken)}, deadline_ms=1000, start_timeout_s=3.0, most_restarts=1)
    broken.write_text("hang")
    with pytest.raises(ProcessError):
        session.run(command("segfault"))
    seen = set()
    for _ in range(20):
        with pytest.raises(ProcessError) as caught:
            session.run(command())
        seen.add(type(caught.value))
    assert seen >= {DeadlineError, RestartLimitError}


@pytest.mark.parametrize(("how", "kind"), [("no such operator", ArtifactError), ("segfault", ProcessError)])
def test_a_first_process_that_cannot_open_the_model_is_an_error_of_load(opened, tmp_path, how, kind) -> None:
    (tmp_path / "broken").write_text(how)
    before = _descriptors()
    with pytest.raises(kind):
        opened({"broken": str(tmp_path / "broken")})
    gc.collect()
    assert not children()
    assert _descriptors() == before


def test_a_first_process_that_hangs_is_ended(opened, tmp_path) -> None:
    (tmp_path / "broken").write_text("hang")
    with pytest.raises(DeadlineError, match="not open within 0.5 s"):
        opened({"broken": str(tmp_path / "broken")}, start_timeout_s=0.5)
    _wait_until(lambda: not children())


def test_a_leak_ends_with_its_process_and_no_call_fails(opened, caplog) -> None:
    session = opened(memory_limit_mb=200)
    first = pid_of(session)
    for _ in range(12):
        session.run(command("leak"))
    assert pid_of(session) != first
    _wait_until(lambda: len(children()) == 1)
    assert "exceeded its memory limit" in caplog.text


def test_calls_in_a_process_that_is_too_large_end_in_it(opened) -> None:
    session = opened(memory_limit_mb=1)
    with session.lease() as slot:
        slot.inputs["image"][...] = 1
        expected = slot.run()["scores"]
        session.run(command())
        assert np.array_equal(slot.run()["scores"], expected)


def test_threads_share_a_session_through_its_failures(opened) -> None:
    session = opened()
    answers = [
        session.run({"image": np.full((1, 4, 4, 3), n, np.float32)})["scores"].copy() for n in range(4)
    ]

    def work(place: int) -> tuple[int, int, int]:
        right = wrong = failed = 0
        for turn in range(40):
            if place == 0 and turn % 10 == 5:
                with pytest.raises(ProcessError):
                    session.run(command("segfault"))
            try:
                got = session.run({"image": np.full((1, 4, 4, 3), place, np.float32)})["scores"]
            except ProcessError:
                failed += 1
                continue
            right += bool(np.array_equal(got, answers[place]))
            wrong += not np.array_equal(got, answers[place])
        return right, wrong, failed

    with ThreadPoolExecutor(4) as pool:
        right, wrong, failed = np.sum(list(pool.map(work, range(4))), axis=0)
    assert wrong == 0
    assert right + failed == 160
    assert right > 100


def test_slots_run_at_the_same_time(opened) -> None:
    session = opened()
    both = threading.Barrier(3)

    def run() -> None:
        both.wait()
        session.run(command("sleep"))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    both.wait()
    for thread in threads:
        thread.join()
    assert len(session._session._supervision._running.slots._free) == 2


def test_close_ends_the_processes_and_calls_in_progress(opened) -> None:
    session = opened(standby=True)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            session.run(command("hang"))
        except EdgeVisionError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    session.close()
    thread.join(5)
    assert isinstance(failed[0], InferenceError)
    assert not children()
    session.close()
    with pytest.raises(SessionClosedError):
        session.run(command())
    with pytest.raises(SessionClosedError), session.lease():
        pass


def test_a_session_that_nobody_has_any_more_ends_its_processes(opened, faulty_plugin) -> None:
    session = open_isolated(registry().backend("faulty"), artifact(), None, Isolation(standby=True))
    session.run(command())
    del session
    gc.collect()
    _wait_until(lambda: not children())


def test_children_of_the_runtime_end_with_it(opened) -> None:
    session = opened()
    session.run(command("start a child"))
    group = pid_of(session)
    session.close()
    _wait_until(lambda: not _group(group))


def test_descriptors_stay_the_same_over_restarts(opened) -> None:
    session = opened(standby=True)
    counts = []
    for _ in range(8):
        session._session._supervision._standby.wait(time.monotonic() + 60)
        with pytest.raises(ProcessError):
            session.run(command("exit"))
        session.run(command())
        counts.append(_descriptors())
    assert len(set(counts[1:])) == 1
    assert len(children()) <= 2


def test_shared_memory_has_no_name(opened) -> None:
    before = set(Path("/dev", "shm").iterdir())
    session = opened()
    session.run(command())
    assert set(Path("/dev", "shm").iterdir()) == before


def test_a_session_belongs_to_its_process(opened) -> None:
    import copy

    with pytest.raises(CopyError):
        copy.copy(opened())


def test_a_plugin_of_this_process_alone_cannot_be_isolated() -> None:
    with pytest.raises(PluginError, match=r"isolate: backend 'fake' is not available.*entry point"):
        open_isolated(FakeBackend(), artifact(), None, Isolation())


def test_an_option_that_is_no_json_value_cannot_be_isolated(faulty_plugin) -> None:
    settings = SessionSettings(options={"broken": object()})
    with pytest.raises(OptionError, match="isolate: options"):
        open_isolated(registry().backend("faulty"), artifact(), settings, Isolation())


def _wait_until(holds) -> None:  # type: ignore[no-untyped-def]
    for _ in range(200):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen within 4 s")


def _descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def _group(leader: int) -> set[str]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parts = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(parts[2]) == leader and parts[0] != "Z":
            found.add(folder.name)
    return found
