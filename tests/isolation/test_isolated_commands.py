"""``--isolate``, ``--standby`` and ``--run-deadline-ms``: commands over a backend that fails when told."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faulty import artifact, command

#: Frames that are in flight when the process ends fail, too: three at most, and not the last one.
FRAMES, FAULT_AT = 8, 2
#: Pixels of 0 to 255 are -255 to 0: those below 0 are commands of the backend.
HOW = ("--backend", "faulty", "--input-range=-255..0", "--scores", "logits")
ISOLATED = (*HOW, "--isolate", "--threads", "1")
SEGFAULT = "killed by SIGSEGV in a process of its own"


@pytest.fixture
def run(faulty_plugin: Path, tmp_path: Path, edgevision_command: Any) -> Any:
    """Run a command over frames, one of which makes the runtime do what its name says."""
    (tmp_path / "m.fake").write_bytes(artifact().content)
    frames = tmp_path / "frames"

    def run_(subcommand: str, fault: str, *options: str) -> Any:
        frames.mkdir(exist_ok=True)
        for index in range(FRAMES):
            frame = np.full((4, 4, 3), 255, np.uint8)
            frame[1:] = 100 + index
            if fault and index == FAULT_AT:
                frame[0, 0] = round(255 + float(command(fault)["image"][0, 0, 0, 0]))
            cv2.imwrite(str(frames / f"{index}.png"), frame)
        return edgevision_command(subcommand, "m.fake", "frames", *options, PYTHONPATH=str(faulty_plugin))

    return run_


def rows_of(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_crash_ends_the_process_unless_it_is_isolated(run: Any) -> None:
    assert run("predict", "segfault", *HOW).returncode == -signal.SIGSEGV
    done = run("predict", "segfault", *ISOLATED)
    assert done.returncode == 9
    assert done.stderr.splitlines()[-1] == f"edgevision: m.fake on faulty: {SEGFAULT}"


@pytest.mark.parametrize(
    ("fault", "options", "reason"),
    [
        ("segfault", ("--standby",), f"failed: ProcessError: m.fake on faulty: {SEGFAULT}"),
        ("exit", (), "failed: ProcessError: m.fake on faulty: ended with exit status 3"),
    ],
)
def test_a_stream_goes_on_after_a_crash(run: Any, fault: str, options: tuple[str, ...], reason: str) -> None:
    whole = rows_of(run("stream", "", *ISOLATED, "--jsonl", "-"))
    done = run("stream", fault, *ISOLATED, *options, "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done)
    assert [row["index"] for row in rows] == list(range(FRAMES))
    assert rows[FAULT_AT]["status"].startswith(reason)
    assert "result" not in rows[FAULT_AT]
    assert rows[-1]["status"] == "ok"
    assert all(row["result"] == whole[row["index"]]["result"] for row in rows if row["status"] == "ok")
    assert "it is replaced (1 of 5 times within 60 s)" in done.stderr


def test_a_run_beyond_its_deadline_fails_its_frame(run: Any) -> None:
    done = run("stream", "hang", *ISOLATED, "--standby", "--run-deadline-ms", "3000", "--jsonl", "-")
    assert done.returncode == 0, done.stderr
    rows = rows_of(done)
    assert rows[FAULT_AT]["status"].startswith(
        "failed: DeadlineError: m.fake on faulty: no answer within 3000 ms"
    )
    assert [row["index"] for row in rows] == list(range(FRAMES))


@pytest.mark.parametrize(
    ("subcommand", "option"), [("stream", ("--standby",)), ("predict", ("--run-deadline-ms", "100"))]
)
def test_what_watches_a_process_needs_one(run: Any, subcommand: str, option: tuple[str, ...]) -> None:
    done = run(subcommand, "", *HOW, *option)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"edgevision: {option[0]} requires --isolate; run edgevision {subcommand} --help"
    ]
