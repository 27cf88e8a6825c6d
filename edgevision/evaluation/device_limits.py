"""The limits of a target: how large an artifact may be, how much memory and how long a run may take."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.benchmarking import machine
from edgevision.errors import InferenceError
from edgevision.evaluation.budget import Demand
from edgevision.evaluation.machine import processor
from edgevision.plan import Bench
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.target import Target

_WARM_UP_RUNS, _RUNS = 3, 30


def device_demands(artifact: Artifact, bench: Bench, targets: Sequence[Target]) -> tuple[Demand, ...]:
    """What the targets allow, held against what can be measured here.

    Size always; latency (the median of a run of the network alone, with one example) and memory (the
    peak of a process that loads and runs it) only on a machine that is such a device.

    Args:
        artifact: that is made for the targets.
        bench: where, and with which settings.
        targets: the strictest limit of all is demanded.

    Raises:
        InferenceError: a run failed.
    """
    demands = []
    size_mb = _strictest("max_size_mb", targets)
    if size_mb is not None:
        demands.append(Demand("size", False, size_mb, artifact.size_bytes / 1e6, "MB"))
    here = [target for target in targets if is_here(target, bench)]
    latency_ms = _strictest("max_latency_ms", here)
    if latency_ms is not None:
        # A session of its own: what measures answers shares the cores out between several calls.
        with open_session(bench.backend, artifact, bench.settings) as session:
            demands.append(Demand("latency", False, latency_ms, _latency_ms(session), "ms"))
    memory_mb = _strictest("max_memory_mb", here)
    if memory_mb is not None:
        used = peak_memory_mb(artifact, bench.backend.name, bench.settings)
        demands.append(Demand("memory", False, memory_mb, used, "MB"))
    return tuple(demands)


def unmeasured_limits(bench: Bench, targets: Iterable[Target]) -> list[str]:
    """In words, which limits could not be held against anything here."""
    return [
        f"{name} of {target.name} was not measured: this machine is none ({processor()})"
        for target in targets
        for name in ("max_latency_ms", "max_memory_mb")
        if name in target.limits and not is_here(target, bench)
    ]


def is_here(target: Target, bench: Bench) -> bool:
    """Whether this machine is such a device, as far as it tells."""
    return bench.on_target and (target.machine is None or target.machine in processor())


def _strictest(name: str, targets: Iterable[Target]) -> float | None:
    return min((target.limits[name] for target in targets if name in target.limits), default=None)


def peak_memory_mb(artifact: Artifact, backend: str, settings: SessionSettings, batch: int = 1) -> float:
    """The peak of a process of its own that loads an artifact and runs it, in MB (10**6 bytes).

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
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        raise InferenceError(f"{artifact.name}: cannot be run in a process of its own: {told}")
    return float(done.stdout.split()[-1])


def _latency_ms(session: CheckedSession, batch: int = 1) -> float:
    seconds = []
    for _ in range(_WARM_UP_RUNS + _RUNS):
        with session.lease(batch) as lane:
            for values in lane.inputs.values():
                values[...] = 0
            start = time.perf_counter()
            lane.run()
            seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[_WARM_UP_RUNS:])


def _own_peak_memory_mb(path: Path, backend: str, settings: SessionSettings, batch: int) -> float:
    """The peak of this process after it has loaded an artifact and run it."""
    with open_session(registry().backend(backend), read_artifact(path), settings) as session:
        _latency_ms(session, batch)
    # Not of getrusage: its figure starts with what the parent held.
    return machine.peak_memory_mb()


if __name__ == "__main__":
    asked = SessionSettings(**json.loads(sys.argv[3]))
    sys.stdout.write(f"{_own_peak_memory_mb(Path(sys.argv[1]), sys.argv[2], asked, int(sys.argv[4]))}\n")
