"""The latency and memory of one run, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.errors import InferenceError
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.machine import peak_memory_mb

_WARM_UP_RUNS, _RUNS = 3, 30
#: Of a slow network fewer runs are enough.
_ENOUGH_S = 3.0
#: That a process of its own may take in all.
_MOST_SECONDS = 300


@dataclass(frozen=True)
class RunCosts:
    """What it costs to run an artifact on this machine, in a process that does nothing else.

    Attributes:
        latency_ms: the median of a run of the network alone.
        peak_memory_mb: the process's largest resident memory, in MB (10**6 bytes).
    """

    latency_ms: float
    peak_memory_mb: float


def run_costs(artifact: Artifact, backend: str, settings: SessionSettings, batch: int = 1) -> RunCosts:
    """What a process of its own needs that loads an artifact and runs it.

    Args:
        artifact: what it loads.
        backend: the backend's name.
        settings: with which it is opened, but for the cache.
        batch: examples in one run.

    Raises:
        InferenceError: that process failed.
    """
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        for name, content in artifact.files.items():
            Path(folder, name).write_bytes(content)
        told = json.dumps({**asdict(settings), "cache_dir": None})
        words = [sys.executable, "-m", __name__, str(Path(folder, artifact.name)), backend, told, str(batch)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise InferenceError(f"{artifact.name}: runs longer than {_MOST_SECONDS} s") from error
    if done.returncode:
        told = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        raise InferenceError(f"{artifact.name}: cannot be run in a process of its own: {told}")
    return RunCosts(**json.loads(done.stdout.splitlines()[-1]))


def _latency_ms(session: CheckedSession, batch: int = 1) -> float:
    seconds: list[float] = []
    for run in range(_WARM_UP_RUNS + _RUNS):
        if run > _WARM_UP_RUNS and sum(seconds) > _ENOUGH_S:
            break
        with session.lease(batch) as slot:
            for values in slot.inputs.values():
                values[...] = 0
            start = time.perf_counter()
            slot.run()
            seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[_WARM_UP_RUNS:])


def _own_costs(path: Path, backend: str, settings: SessionSettings, batch: int) -> RunCosts:
    """What this process needs to load an artifact and run it."""
    with open_session(registry().backend(backend), read_artifact(path), settings) as session:
        latency_ms = _latency_ms(session, batch)
    # Not of getrusage: its figure starts with what the parent held.
    return RunCosts(round(latency_ms, 4), round(peak_memory_mb(), 1))


if __name__ == "__main__":
    asked = SessionSettings(**json.loads(sys.argv[3]))
    costs = _own_costs(Path(sys.argv[1]), sys.argv[2], asked, int(sys.argv[4]))
    sys.stdout.write(f"{json.dumps(asdict(costs))}\n")
