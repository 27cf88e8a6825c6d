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
#: Fewer runs are enough for a slow network.
_ENOUGH_S = 3.0
#: Time limit of the process.
_MOST_SECONDS = 300


@dataclass(frozen=True)
class RunCosts:
    """The costs of running an artifact on this machine, in a process that does nothing else.

    Attributes:
        latency_ms: the median latency of the network alone.
        peak_memory_mb: the peak resident memory of the process, in MB (10**6 bytes).
    """

    latency_ms: float
    peak_memory_mb: float


def run_costs(artifact: Artifact, backend: str, settings: SessionSettings, batch: int = 1) -> RunCosts:
    """The costs of a process that loads an artifact and runs it.

    Args:
        artifact: the artifact.
        backend: the backend's name.
        settings: of the session; its cache is not used.
        batch: images per run.

    Raises:
        InferenceError: the process failed or timed out.
    """
    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        for name, content in artifact.files.items():
            Path(folder, name).write_bytes(content)
        document = json.dumps({**asdict(settings), "cache_dir": None})
        command = [
            sys.executable,
            "-m",
            __name__,
            str(Path(folder, artifact.name)),
            backend,
            document,
            str(batch),
        ]
        try:
            process = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_MOST_SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise InferenceError(f"{artifact.name}: timed out after {_MOST_SECONDS} s") from error
    if process.returncode:
        reason = process.stderr.strip().rpartition("\n")[2] or f"exit status {process.returncode}"
        raise InferenceError(f"{artifact.name}: failed in a process of its own: {reason}")
    return RunCosts(**json.loads(process.stdout.splitlines()[-1]))


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
    """The costs of loading and running an artifact in this process."""
    with open_session(registry().backend(backend), read_artifact(path), settings) as session:
        latency_ms = _latency_ms(session, batch)
    # Not from getrusage: its value starts at the parent's memory.
    return RunCosts(round(latency_ms, 4), round(peak_memory_mb(), 1))


if __name__ == "__main__":
    requested = SessionSettings(**json.loads(sys.argv[3]))
    costs = _own_costs(Path(sys.argv[1]), sys.argv[2], requested, int(sys.argv[4]))
    sys.stdout.write(f"{json.dumps(asdict(costs))}\n")
