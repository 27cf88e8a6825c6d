"""The process's exit code is its program's own, and a fork is refused: real processes on real runtimes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edgevision.artifact import Artifact

#: How often each row of the tables runs.
REPEATS = int(os.environ.get("EDGEVISION_REPEATS", "1"))
#: A process that has not ended after this long hangs; imports and a busy machine count.
HANG_S = 60.0

BACKENDS = {"tflite": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino"}

#: Opens a session, and has `work` for daemon threads.
START = """
    import os, signal, sys, threading, time
    import numpy as np
    from edgevision.artifact import read_artifact
    from edgevision.plugins import registry
    from edgevision.session import open_session
    from edgevision.system import process_bound

    backend, path = sys.argv[1:]

    def opened():
        session = open_session(registry().backend(backend), read_artifact(path))
        spec = session.inputs[0]
        return session, {spec.name: np.ones(spec.with_batch(256), spec.dtype)}

    def start(work):
        running = threading.Event()
        def repeat():
            running.set()
            while True:
                work()
        for _ in range(3):
            threading.Thread(target=repeat, daemon=True).start()
        running.wait()
        time.sleep(0.1)

    session, inputs = opened()
"""

#: What daemon threads do while the process ends.
WORK = {
    "infers": "start(lambda: session.run(inputs))",
    "infers longer than the process waits": (
        "process_bound.GRACE_S = 0.0; start(lambda: session.run(inputs))"
    ),
    "opens and closes": "start(lambda: opened()[0].close())",
    "catches every error": """
        def stubborn():
            try:
                session.run(inputs)
            except Exception:
                pass
        start(stubborn)
    """,
}

FLUSH = "\nprint('flushed', end='')\n"

#: How the process ends -> its exit code.
ENDINGS = {
    "pass": 0,
    "sys.exit(7)": 7,
    "raise SystemExit('in words')": 1,
    "1 / 0": 1,
    "signal.raise_signal(signal.SIGTERM)": -signal.SIGTERM,
    "signal.raise_signal(signal.SIGINT)": -signal.SIGINT,
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); signal.raise_signal(signal.SIGTERM)": 9,
    "session.close(); sys.exit(5)": 5,
    "import atexit; atexit.register(lambda: session.run(inputs)); sys.exit(6)": 6,
}


@pytest.fixture(scope="module", params=BACKENDS)
def words(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """A backend's name, and the path of an artifact that it loads."""
    backend: str = request.param
    pytest.importorskip(BACKENDS[backend], reason=f"{BACKENDS[backend]} is not installed")
    if backend == "tflite":
        return backend, str(Path(__file__).parents[1] / "data" / "tiny.tflite")
    artifact: Artifact = request.getfixturevalue("tiny_onnx")
    path = tmp_path_factory.mktemp("artifact") / "tiny.onnx"
    path.write_bytes(artifact.content)
    return backend, str(path)


def finished(program: str, words: tuple[str, ...]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a Python program that follows `START`."""
    program = textwrap.dedent(START) + "\n" + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_exit_code_is_the_programs_own_while_daemon_threads_infer(
    words: tuple[str, ...], ending: str
) -> None:
    for _ in range(REPEATS):
        code, out, err = finished(WORK["infers"] + FLUSH + ending, words)
        assert code == ENDINGS[ending], err[-2000:]
        assert out == "flushed" or code == -signal.SIGTERM


@pytest.mark.parametrize("work", [name for name in WORK if name != "infers"])
def test_the_exit_code_is_the_programs_own_whatever_daemon_threads_do(
    words: tuple[str, ...], work: str
) -> None:
    for _ in range(REPEATS):
        code, out, err = finished(
            textwrap.dedent(WORK[work]) + "\nprint('flushed', end='')\nsys.exit(7)", words
        )
        assert (code, out) == (7, "flushed"), err[-2000:]


#: What the child of a fork does -> what it prints.
FORKS = {
    "runs": ("refused(lambda: session.run(inputs))", "the model was loaded before this process was forked"),
    "leases": (
        "refused(lambda: session.lease().__enter__())",
        "the model was loaded before this process was forked",
    ),
    "closes and runs": (
        "session.close(); refused(lambda: session.run(inputs))",
        "the model was loaded before this process was forked",
    ),
    "drops its copy": ("del session, inputs; gc.collect(); print('dropped', end='')", "dropped"),
    "loads its own": (
        "own, inputs = opened(); print(sorted(own.run(inputs)), end='')",
        "['features', 'scores']",
    ),
    "loads its own and forks again": (
        "own, inputs = opened(); sys.exit(in_child('refused(lambda: own.run(inputs))'))",
        "the model was loaded before this process was forked",
    ),
}

FORK = """
import gc

def refused(call):
    try:
        call()
    except Exception as error:
        print(str(error).split(",")[0], end="")

def in_child(program):
    pid = os.fork()
    if pid == 0:
        exec(program, globals())
        sys.exit(3)
    deadline = time.monotonic() + 20
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return "hangs"
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])

for program in PROGRAMS:
    code = in_child(program)
    print(f" -> {code}", flush=True)
    session.run(inputs)  # the parent is as before
"""


@pytest.mark.parametrize("parent", ["is idle", "infers"])
def test_a_forked_process_is_refused_and_can_load_its_own(words: tuple[str, ...], parent: str) -> None:
    programs = repr([program for program, _ in FORKS.values()])
    program = (WORK["infers"] if parent == "infers" else "") + FORK.replace("PROGRAMS", programs)
    for _ in range(REPEATS):
        code, out, err = finished(program, words)
        assert code == 0, err[-2000:]
        ends = dict(zip(FORKS, out.splitlines(), strict=True))
        assert ends == {name: f"{printed} -> 3" for name, (_, printed) in FORKS.items()}


def test_a_process_that_is_forked_in_the_midst_of_a_call_is_refused_and_loads_nothing(
    words: tuple[str, ...],
) -> None:
    programs = [program for name, (program, _) in FORKS.items() if not name.startswith("loads")]
    busy = "process_bound._process.busy_at_fork"
    # The parent does not wait, so a call is in progress nearly always.
    load = f"was = {busy}; refused(opened) if was else print('this process was forked while', end='')"
    program = FORK.replace("PROGRAMS", repr([*programs, load]))
    for _ in range(REPEATS):
        code, out, err = finished("process_bound.GRACE_S = 0.0; " + WORK["infers"] + program, words)
        assert code == 0, err[-2000:]
        *others, last = out.splitlines()
        expected = [printed for name, (_, printed) in FORKS.items() if not name.startswith("loads")]
        assert [line.rpartition(" -> ")[0] for line in others] == expected
        assert last.startswith("this process was forked while")
        if words[0] != "openvino":  # whose library may wait at exit for threads that the child does not have
            assert {line.rpartition(" -> ")[2] for line in (*others, last)} == {"3"}
