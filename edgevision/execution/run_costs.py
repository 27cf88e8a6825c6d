"""The latency and memory of a run: each artifact in a process of its own, all of them timed in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings, Slot
from edgevision.errors import EdgeVisionError, InferenceError, OutputError, ProcessError
from edgevision.execution.messages import Message
from edgevision.execution.worker import Job, Worker
from edgevision.plugins import registry
from edgevision.session import open_session
from edgevision.system.cores import cores
from edgevision.system.files import temporary_files
from edgevision.system.machine import busy_seconds, peak_memory_mb
from edgevision.system.reading import MOST_MODEL_BYTES, read_file
from edgevision.system.timing import Times, burst, times_of

#: Time that is spent on each artifact, as `Effort` counts it, in bursts.
_SECONDS, _ROUNDS = 0.6, 5
#: Processes that are open at the same time: each holds its runtime and its artifact in memory.
_MOST_AT_ONCE = 8
#: Threads of a runtime may spin for some milliseconds after its last run.
_PAUSE_S = 0.01
#: Time limit of opening, and of each burst.
_MOST_SECONDS = 300
#: Share of the cores that other programs may keep busy without a remark.
_BUSY_SHARE = 0.25


@dataclass(frozen=True)
class Timing:
    """How the runs of an artifact spread, and what else this machine did at the time.

    Attributes:
        runs: number of runs that were timed.
        cpu_ms: median CPU time of one run, of all threads. Other programs hardly change it.
        least_ms, p95_ms: the smallest wall time, and its 95th percentile.
        load_average: of the last minute, when the timing began; `None` where the system does not report it.
            It includes the conversion itself.
        busy_cores: the number of cores that other programs kept busy during the timing, in the mean; `None`
            where the system does not report it.
        cores: number of cores that this process may use.
    """

    runs: int
    cpu_ms: float
    least_ms: float
    p95_ms: float
    load_average: float | None
    busy_cores: float | None
    cores: int

    @property
    def busy(self) -> str:
        """The remark that the machine was busy; empty if it was not, or if that is unknown."""
        if self.busy_cores is None or self.busy_cores <= _BUSY_SHARE * self.cores:
            return ""
        load = "" if self.load_average is None else f" (load average {self.load_average:.1f})"
        return f"other programs kept {self.busy_cores:.1f} of {self.cores} cores busy{load}"


@dataclass(frozen=True)
class RunCosts:
    """The costs of running an artifact on this machine, in a process that does nothing else.

    Attributes:
        latency_ms: the median wall time of one run of the network alone.
        peak_memory_mb: the peak resident memory of the process, in MB (10**6 bytes).
        timing: how the runs spread.
        rounds_ms: the median of each burst, for comparison with other artifacts that were timed in turn with
            it: CPU time, or wall time where the device is not the CPU.
    """

    latency_ms: float
    peak_memory_mb: float
    timing: Timing
    rounds_ms: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class RunSubject:
    """An artifact and how to run it.

    Attributes:
        artifact: the artifact.
        backend: the backend's name.
        settings: of the session; its cache is not used.
        batch: images per run.
    """

    artifact: Artifact
    backend: str
    settings: SessionSettings
    batch: int = 1


def run_costs(artifact: Artifact, backend: str, settings: SessionSettings, batch: int = 1) -> RunCosts:
    """The costs of a process that loads an artifact and runs it; arguments as in `RunSubject`.

    Raises:
        InferenceError: the process failed or timed out.
    """
    (result,) = run_costs_in_turn({"": RunSubject(artifact, backend, settings, batch)}).values()
    if isinstance(result, InferenceError):
        raise result
    return result


def run_costs_in_turn(subjects: Mapping[str, RunSubject]) -> dict[str, RunCosts | InferenceError]:
    """The costs of several artifacts, timed in turn, so that other load on the machine affects all alike.

    Args:
        subjects: name -> what to run.

    Returns:
        name -> its costs, or why its process failed.
    """
    names, results = list(subjects), {}
    for start in range(0, len(names), _MOST_AT_ONCE):
        results.update(_together({name: subjects[name] for name in names[start : start + _MOST_AT_ONCE]}))
    return {name: results[name] for name in names}


def _together(subjects: Mapping[str, RunSubject]) -> dict[str, RunCosts | InferenceError]:
    results: dict[str, RunCosts | InferenceError] = {}
    with ExitStack() as stack:
        processes: dict[str, _Process] = {}
        for name, subject in subjects.items():
            try:
                processes[name] = stack.enter_context(_Process(subject))
            except InferenceError as error:
                results[name] = error
        load = _Load()
        for place in range(_ROUNDS):
            order = list(processes)
            shift = place % max(1, len(order))
            for name in order[shift:] + order[:shift]:
                time.sleep(_PAUSE_S)
                try:
                    processes[name].burst(_SECONDS / _ROUNDS)
                except InferenceError as error:
                    results[name] = error
                    del processes[name]
            if load.wall_s > 4 * _SECONDS * len(subjects):
                break
        told = load.told(sum(process.cpu_s for process in processes.values()))
        results.update({name: process.costs(*told) for name, process in processes.items()})
    return results


class _Load:
    """The load of the machine since the creation."""

    def __init__(self) -> None:
        try:
            self._average: float | None = round(os.getloadavg()[0], 2)
        except (AttributeError, OSError):  # Windows has none
            self._average = None
        self._start, self._busy, self._own = time.monotonic(), busy_seconds(), time.process_time()

    @property
    def wall_s(self) -> float:
        """Wall time since the creation."""
        return time.monotonic() - self._start

    def told(self, measured_s: float) -> tuple[float | None, float | None]:
        """The load average, and the number of cores that other programs kept busy.

        Args:
            measured_s: CPU time of the processes that were timed meanwhile.
        """
        now = busy_seconds()
        if self._busy is None or now is None:
            return self._average, None
        others = now - self._busy - measured_s - (time.process_time() - self._own)
        return self._average, round(max(0.0, others / self.wall_s), 2)


class _Process:
    """A process that has loaded an artifact, and runs it when asked.

    Raises:
        InferenceError: the process failed or timed out.
    """

    def __init__(self, subject: RunSubject) -> None:
        self._subject = subject
        self._bursts: list[Times] = []
        self._memory_mb = self._first_cpu_s = self.cpu_s = 0.0
        self._worker = Worker(keeps_state=True)

    def __enter__(self) -> _Process:
        subject = self._subject
        with ExitStack() as failing, _files(subject.artifact) as folder:
            failing.enter_context(self._worker)
            fields = {
                "format": subject.artifact.format,
                "precision": subject.artifact.precision,
                "files": {name: str(folder / name) for name in subject.artifact.files},
                "backend": subject.backend,
                "settings": {**asdict(subject.settings), "cache_dir": None},
                "batch": subject.batch,
            }
            self._first_cpu_s = self._ask(_open, fields).fields["cpu_s"]
            failing.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._worker.close()

    def burst(self, seconds: float) -> None:
        """Run the artifact for some time."""
        answer = self._ask(_run_for, {"seconds": seconds})
        self._bursts.append(times_of(answer.arrays["taken"].tolist()))
        self._memory_mb = answer.fields["memory_mb"]
        self.cpu_s = answer.fields["cpu_s"] - self._first_cpu_s

    def costs(self, load_average: float | None, busy_cores: float | None) -> RunCosts:
        """The results of all bursts."""
        wall_ms = np.concatenate([times.wall_ns for times in self._bursts]) / 1e6
        cpu_ms = np.concatenate([times.cpu_ns for times in self._bursts]) / 1e6
        on_cpu = self._subject.settings.device in (None, "cpu")
        rounds = [times.cpu_us if on_cpu else times.wall_us for times in self._bursts]
        timing = Timing(
            runs=len(wall_ms),
            cpu_ms=round(float(np.median(cpu_ms)), 4),
            least_ms=round(float(wall_ms.min()), 4),
            p95_ms=round(float(np.percentile(wall_ms, 95)), 4),
            load_average=load_average,
            busy_cores=busy_cores,
            cores=cores(),
        )
        return RunCosts(
            latency_ms=round(float(np.median(wall_ms)), 4),
            peak_memory_mb=round(self._memory_mb, 1),
            timing=timing,
            rounds_ms=tuple(value / 1e3 for value in rounds),
        )

    def _ask(self, job: Job, fields: Mapping[str, Any]) -> Message:
        name = self._subject.artifact.name
        try:
            return self._worker.ask(job, Message(fields), what=name, timeout_s=_MOST_SECONDS)
        except ProcessError:
            raise
        except EdgeVisionError as error:
            raise InferenceError(f"{name}: failed in a process of its own: {error}") from error


@contextmanager
def _files(artifact: Artifact) -> Iterator[Path]:
    """The artifact as files, and not a message: it is to be in a process's memory once, as in use."""
    try:
        with temporary_files(artifact.files) as folder:
            yield folder
    except OutputError as error:
        raise InferenceError(f"{artifact.name}: cannot be measured: {error}") from error


def slowdown(first: RunCosts, second: RunCosts) -> float:
    """The time of a run of the first as a multiple of the second's, timed in turn with it; 1 if equal.

    The median over the rounds, so that what disturbed one round does not count.
    """
    return median(_ratios(first, second))


def is_slower(first: RunCosts, second: RunCosts, share: float) -> bool:
    """True if the first needs more time than the second by more than `share`, beyond noise.

    Beyond noise means that all rounds but one agree that it is slower at all.
    """
    ratios = sorted(_ratios(first, second))
    return median(ratios) > 1 + share and ratios[min(1, len(ratios) - 1)] > 1


def _ratios(first: RunCosts, second: RunCosts) -> list[float]:
    pairs = zip(first.rounds_ms, second.rounds_ms, strict=False)
    return [a / max(b, 1e-6) for a, b in pairs]


#: In the process of an artifact: its slot, and what keeps it.
_slots: list[Slot] = []
_leases = ExitStack()


def _open(request: Message) -> Message:
    """Load an artifact, and run it once on zeros: the first job of its process."""
    fields = request.fields
    backend, settings = registry().backend(fields["backend"]), SessionSettings(**fields["settings"])
    files = {name: read_file(path, MOST_MODEL_BYTES) for name, path in fields["files"].items()}
    artifact = Artifact(fields["format"], fields["precision"], files)
    session = _leases.enter_context(open_session(backend, artifact, settings))
    slot = _leases.enter_context(session.lease(fields["batch"]))
    for values in slot.inputs.values():
        values[...] = 0
    slot.run()
    _slots.append(slot)
    return Message({"cpu_s": time.process_time()})


def _run_for(request: Message) -> Message:
    """Run the artifact for some seconds."""
    taken = burst(_slots[0].run, request.fields["seconds"])
    # Memory is not from getrusage: its value starts at the parent's memory.
    measured = {"memory_mb": peak_memory_mb(), "cpu_s": time.process_time()}
    return Message(measured, {"taken": np.array(taken)})
