"""Threads and soak: answers that are never crossed, and memory, descriptors and threads that do not grow.

    python benchmarks/soak.py
    python benchmarks/soak.py --answers 100000 --loads 1000 --calls 100000
    python benchmarks/soak.py --minutes 60

Each backend runs in a process of its own, on the tiny network of the tests. The exit code is 1 if an answer
is crossed, or if anything grows beyond the limits. With ``--minutes``, streams run for so long instead, in
this process and isolated; see `soak_stream`.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
#: Growth that is allowed, over what the first loads and calls take.
MOST_MB = 10.0
#: Loads and calls before growth is measured: what a runtime keeps for the process.
_WARM_UP = 30
_THREADS = 8
_BACKENDS = ("tflite", "openvino", "onnx")


class Resources(NamedTuple):
    """Memory, descriptors and threads of a process."""

    resident_mb: float
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Resources:
        """Of this process."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        mb = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return cls(mb, _count("fd"), _settled_threads())


def _count(kind: str) -> int:
    return sum(1 for _ in Path("/proc/self", kind).iterdir())


def _settled_threads() -> int:
    """Threads, once those that are ending have ended."""
    count = 0
    for _ in range(50):
        before, count = count, _count("task")
        if count == before:
            break
        time.sleep(0.02)
    return count


@click.command()
@click.option("--answers", default=10_000, show_default=True, help="Answers in 8 threads.")
@click.option("--loads", default=100, show_default=True, help="Sessions opened, used and closed.")
@click.option("--calls", default=10_000, show_default=True, help="Calls of one session.")
@click.option("--backend", "backends", multiple=True, default=_BACKENDS, show_default=True)
@click.option("--minutes", type=click.FloatRange(min=3), help="Streams for so long instead.")
@click.option("--fps", default=30.0, show_default=True, help="Of each stream, with --minutes.")
@click.option("--here", is_flag=True, hidden=True)
def main(
    answers: int,
    loads: int,
    calls: int,
    backends: tuple[str, ...],
    minutes: float | None,
    fps: float,
    here: bool,
) -> None:
    """Print one line per backend; with --minutes, one per minute and stream."""
    if minutes is not None:
        from soak_stream import soak_all

        sys.exit(not soak_all(minutes, fps))
    if here:
        sys.exit(0 if _soak(backends[0], answers, loads, calls) else 1)
    codes = []
    for backend in backends:
        counts = ["--answers", str(answers), "--loads", str(loads), "--calls", str(calls)]
        command = [sys.executable, __file__, "--here", "--backend", backend, *counts]
        codes.append(subprocess.run(command, check=False).returncode)
    sys.exit(max(codes, default=0) != 0)


def _soak(backend: str, answers: int, loads: int, calls: int) -> bool:
    from edgevision.plugins import registry
    from edgevision.session import open_session

    artifact, plugin = _artifact(backend), registry().backend(backend)

    def load_and_run() -> None:
        session = open_session(plugin, artifact)
        spec = session.inputs[0]
        session.run({spec.name: np.ones(spec.with_batch(1), spec.dtype)})
        with session.lease() as slot:
            slot.run()
        session.close()

    with open_session(plugin, artifact) as session:
        wrong = crossed(session, answers)
        spec = session.inputs[0]
        image = {spec.name: np.ones(spec.with_batch(1), spec.dtype)}
        of_calls = growth(lambda: session.run(image), calls)
    of_loads = growth(load_and_run, loads)
    fine = not wrong and all(map(_is_within_limits, (of_calls, of_loads)))
    print(
        f"{backend:9} {answers} answers in {_THREADS} threads: {wrong} crossed; "
        f"{calls} calls: {_told(of_calls)}; {loads} loads: {_told(of_loads)}; {'ok' if fine else 'FAILED'}",
        flush=True,
    )
    return fine


def _is_within_limits(grown: Resources) -> bool:
    return grown.resident_mb <= MOST_MB and grown.descriptors <= 0 and grown.threads <= 0


def growth(work: Callable[[], Any], times: int) -> Resources:
    """The resources that `times` times of work add to those after the first few."""
    for _ in range(_WARM_UP):
        work()
    before = Resources.now()
    for _ in range(times):
        work()
    after = Resources.now()
    return Resources(*(later - earlier for later, earlier in zip(after, before, strict=True)))


def crossed(session: Any, answers: int) -> int:
    """Answers that differ from those that the same image gets alone, in threads that share the session."""
    spec = session.inputs[0]
    random = np.random.default_rng(0)
    images = [random.random(spec.with_batch(1), np.float32) for _ in range(_THREADS)]
    expected = [_bytes(session.run({spec.name: image})) for image in images]
    wrong = [0] * _THREADS

    def ask(place: int) -> None:
        for _ in range(answers // _THREADS):
            wrong[place] += _bytes(session.run({spec.name: images[place]})) != expected[place]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(wrong)


def _bytes(outputs: dict[str, Any]) -> bytes:
    return b"".join(values.tobytes() for values in outputs.values())


def _told(grown: Resources) -> str:
    return f"{grown.resident_mb:+.1f} MB, {grown.descriptors:+d} descriptors, {grown.threads:+d} threads"


def _artifact(backend: str) -> Any:
    from edgevision.artifact import Artifact, read_artifact

    if backend != "onnx":
        return read_artifact(TESTS / "data" / "tiny.tflite")
    sys.path.insert(0, str(TESTS))
    from tiny_onnx import tiny_onnx_bytes

    return Artifact("onnx", "float32", {"tiny.onnx": tiny_onnx_bytes()})


if __name__ == "__main__":
    main()
