"""How long a run of an artifact takes and how much memory, and what its targets allow."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from edgevision.artifact import Artifact, read_artifact
from edgevision.backend import SessionSettings
from edgevision.benchmarking import machine
from edgevision.conversion.plan import Bench
from edgevision.errors import InferenceError
from edgevision.evidence.requirements import Demand
from edgevision.plugins import registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.machine import processor
from edgevision.target import Target

#: Units of what targets limit; what an artifact may lose has others.
DEVICE_UNITS = ("MB", "ms")

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


def device_demands(
    artifact: Artifact, bench: Bench, targets: Sequence[Target], costs: Callable[[], RunCosts]
) -> tuple[Demand, ...]:
    """What the targets allow, held against what can be measured here.

    Size always; latency (the median of a run of the network alone, with one example) and memory (the
    peak of a process that loads and runs it) only on a machine that is such a device.

    Args:
        artifact: that is made for the targets.
        bench: where, and with which settings.
        targets: the strictest limit of all is demanded.
        costs: asked for what a run costs, where a limit needs it.

    Raises:
        InferenceError: a run failed.
    """
    demands = []
    size_mb = _strictest("max_size_mb", targets)
    if size_mb is not None:
        demands.append(Demand("size", False, size_mb, artifact.size_bytes / 1e6, "MB"))
    here = [target for target in targets if is_here(target, bench)]
    latency_ms, memory_mb = _strictest("max_latency_ms", here), _strictest("max_memory_mb", here)
    if latency_ms is None and memory_mb is None:
        return tuple(demands)
    measured = costs()
    if latency_ms is not None:
        demands.append(Demand("latency", False, latency_ms, measured.latency_ms, "ms"))
    if memory_mb is not None:
        demands.append(Demand("memory", False, memory_mb, measured.peak_memory_mb, "MB"))
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
    """Whether an artifact is measured on such a device, as far as the machine tells."""
    fits = target.backend == bench.backend.name and target.device in (None, bench.settings.device)
    return bench.on_target and fits and (target.machine is None or target.machine in processor())


def _strictest(name: str, targets: Iterable[Target]) -> float | None:
    return min((target.limits[name] for target in targets if name in target.limits), default=None)


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
        with session.lease(batch) as lane:
            for values in lane.inputs.values():
                values[...] = 0
            start = time.perf_counter()
            lane.run()
            seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[_WARM_UP_RUNS:])


def _own_costs(path: Path, backend: str, settings: SessionSettings, batch: int) -> RunCosts:
    """What this process needs to load an artifact and run it."""
    with open_session(registry().backend(backend), read_artifact(path), settings) as session:
        latency_ms = _latency_ms(session, batch)
    # Not of getrusage: its figure starts with what the parent held.
    return RunCosts(round(latency_ms, 4), round(machine.peak_memory_mb(), 1))


if __name__ == "__main__":
    asked = SessionSettings(**json.loads(sys.argv[3]))
    costs = _own_costs(Path(sys.argv[1]), sys.argv[2], asked, int(sys.argv[4]))
    sys.stdout.write(f"{json.dumps(asdict(costs))}\n")
