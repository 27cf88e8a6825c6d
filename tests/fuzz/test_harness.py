"""The fuzz harness: no case escapes, each is replayed by its seed and number, and an escape is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgevision.errors import BundleError, OptionError
from edgevision.system.cores import cores
from fuzz import harness
from fuzz.harness import Attempt, EscapeError, outcome
from fuzz.run import KINDS

PROGRAM = Path(__file__).with_name("run.py")
#: ``EDGEVISION_FUZZ_TIMES=10 EDGEVISION_FUZZ_SEED=7 pytest tests/fuzz`` tries ten times as many, and others.
TIMES = os.environ.get("EDGEVISION_FUZZ_TIMES", "1")
SEED = os.environ.get("EDGEVISION_FUZZ_SEED", "1")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *words]
    # Users' programs check the first load; other tests do not.
    environment = {name: value for name, value in os.environ.items() if name != "EDGEVISION_SELFTEST"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_no_case_escapes(kind: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    done = run(kind, "--times", TIMES, "--seed", SEED)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " tried, 0 escapes" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_is_the_same_from_its_seed_and_number_alone(kind: str) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `tflite`")
    seen = []
    for first, count in (("0", "3"), ("2", "1")):
        done = run(kind, "--worker", "--seed", "5", "--first", first, "--count", count)
        seen.append([line for line in done.stdout.splitlines() if '"case": 2' in line])
    assert seen[0] == seen[1] != []


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "escape"),
    [
        (BundleError("model.evb: damaged"), ""),
        (OptionError(""), "a message of 0 characters"),
        (ValueError("foreign"), "ValueError: foreign"),
        (SystemExit(3), "SystemExit: 3"),
        (EscapeError("other labels in silence"), "other labels in silence"),
    ],
)
def test_only_errors_of_edgevision_that_can_be_read_are_no_escape(error: BaseException, escape: str) -> None:
    assert outcome(Attempt({}, lambda: _raise(error))) == escape


def test_what_must_work_afterwards_is_checked_after_a_refusal_too() -> None:
    attempt = Attempt({}, lambda: _raise(BundleError("no")), lambda: _raise(EscapeError("another answer")))
    assert outcome(attempt) == "afterwards: another answer"


def test_a_case_that_takes_too_long_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "DEADLINE_S", 0.01)
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    slow = Attempt({}, lambda: time.sleep(0.05))
    assert outcome(slow).startswith("took ")
    # Others keep the machine busy: the case would have taken less alone.
    monkeypatch.setattr("os.getloadavg", lambda: (1000.0 * cores(), 0.0, 0.0))
    assert outcome(slow) == ""


DYING = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
from fuzz import harness, run
from fuzz.harness import Attempt, Kind

harness.HANG_S = 3.0

def open_dying(folder, only):
    def make(random):
        way = random.choice(sorted(ways))
        return Attempt({{"way": way}}, ways[way])
    ways = {{
        "dies": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "hangs": lambda: time.sleep(60),
        "works": lambda: None,
    }}
    return make

run.KINDS = {{"dying": Kind("dying", 6, open_dying)}}
run.__file__ = __file__
run.main()
"""


def test_a_death_and_a_hang_are_escapes_and_the_cases_after_them_are_tried(tmp_path: Path) -> None:
    program = tmp_path / "dying.py"
    program.write_text(DYING.format(tests=str(PROGRAM.parents[1])))
    command = [sys.executable, program, "dying", "--seed", "23"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    escapes = done.stdout.splitlines()[:-1]
    deaths = [line for line in escapes if f"exit code -{signal.SIGSEGV}" in line and '"dies"' in line]
    hangs = [line for line in escapes if f"exit code -{signal.SIGKILL}" in line and '"hangs"' in line]
    assert deaths
    assert hangs
    assert len(deaths) + len(hangs) == len(escapes)
    assert done.stdout.splitlines()[-1] == f"dying: 6 tried, {len(escapes)} escapes (seed 23)"
