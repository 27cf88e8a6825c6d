"""tune(): speed of a bundle on every available backend, by number of threads, precision and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgevision.backend import SessionSettings
from edgevision.benchmarking.throughput import rate
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.errors import EdgeVisionError, InferenceError, OptionError, PluginError
from edgevision.execution.run_costs import run_costs
from edgevision.loading.bare import BareModel, bare_options
from edgevision.loading.bare_bundle import BareBundle, bare_bundle
from edgevision.loading.cache import tuning_file, write_choice
from edgevision.loading.choice import Request, choice_by_order, competitors
from edgevision.loading.configurations import Configuration, configurations
from edgevision.loading.first_load import check_opens
from edgevision.loading.race import CALLS, Entrant, Speed, Track, winner
from edgevision.plugins import Registry, registry
from edgevision.system.arguments import (
    callback,
    duration,
    names,
    one_path,
    optional_text,
    whole_numbers,
)
from edgevision.system.cores import cores
from edgevision.system.log import info
from edgevision.system.machine import Machine
from edgevision.system.progress import Progress, no_progress
from edgevision.system.timing import Call, Times, interleave_bursts

#: Share of the time for the latency; the rest is for the throughput.
_LATENCY_SHARE = 0.6
_ROUNDS = 6


@dataclass(frozen=True)
class TuningRow:
    """Speed of one configuration on the CPU, without pre- and postprocessing.

    Attributes:
        artifact, precision: of the bundle.
        backend: name of the backend.
        threads: threads per call.
        batch: images, or samples, per call.
        status: ``passed``, ``failed`` (wrong known answers, or an error), or ``not run``: the backend is not
            available, or the artifact has a fixed batch size.
        reason: why it did not pass.
        latency: times of one call; `None` if it was not timed.
        per_second: images per second on all cores.
        opening_ms: as in `edgevision.loading.race.Speed`.
        memory_mb: peak memory of a process that only loads and runs it, in MB (10**6 bytes); `None` if it
            was not measured.
    """

    artifact: str
    precision: str
    backend: str
    threads: int
    batch: int
    status: str
    reason: str = ""
    latency: Times | None = None
    per_second: float | None = None
    opening_ms: float | None = None
    memory_mb: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: value for name, value in vars(self).items() if name != "latency"}
        return {**plain, "latency": None if self.latency is None else self.latency.to_dict()}


@dataclass(frozen=True)
class Chosen:
    """The configuration that `edgevision.load` will use.

    Attributes:
        artifact, backend, threads: as in its `TuningRow`.
    """

    artifact: str
    backend: str
    threads: int


@dataclass(frozen=True)
class Tuning:
    """Measurements of `tune`, and its choice.

    Attributes:
        bundle: path of the bundle.
        machine: machine that the measurements were made on.
        rows: one per configuration and batch, in the order of the bundle.
        chosen: fastest configuration; `None` if no row is eligible.
        why: reason for the choice, or for making none.
        stored: file that keeps the choice; `None` if it could not be written, and for a bare file.
    """

    bundle: str
    machine: Machine
    rows: tuple[TuningRow, ...]
    chosen: Chosen | None
    why: str
    stored: Path | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "bundle": self.bundle,
            "machine": asdict(self.machine),
            "rows": [row.to_dict() for row in self.rows],
            "chosen": None if self.chosen is None else asdict(self.chosen),
            "why": self.why,
            "stored": None if self.stored is None else str(self.stored),
        }


def tune(
    bundle: str | Path,
    backends: Sequence[str] = (),
    *,
    precision: str | None = None,
    threads: Sequence[int] = (),
    batches: Sequence[int] = (1, 8),
    seconds: float = 5.0,
    progress: Progress | None = None,
    bare: BareModel | None = None,
) -> Tuning:
    """Time the network of a model on known inputs, and store the choice for `edgevision.load`.

    A bare file has no known answers: those of the backend that runs it by default are taken for them. Its
    choice is not stored, and is for the arguments of `edgevision.load`.

    The choice is the fastest row with a batch of one, in the precision that `load` uses by default; see
    `edgevision.loading.load.load`.

    Args:
        bundle: path of a bundle, or of a bare model file.
        backends: names of the backends to try; by default all that the bundle was measured on, and those
            with an artifact in their own format.
        precision: precision to try; the choice is then used for ``load(…, precision=…)``. By default all.
        threads: numbers of threads to try, from 1 to the number of cores; by default 1 and all cores.
        batches: batch sizes to try.
        seconds: approximate duration of the timing, without loading, memory and known answers.
        progress: called as ``progress(stage, done, total)`` after each step.
        bare: options for a bare file.

    Raises:
        BundleError: the bundle is damaged.
        OptionError: an argument is not of its type or out of range, or the bundle has no matching artifact.
        PluginError, MissingRuntimeError: a backend does not exist, or none is available on this machine.
    """
    progress = callback(progress, "progress") or no_progress
    backends = names(backends, "backends")
    threads = whole_numbers(threads, "threads", least=1)
    batches = whole_numbers(batches, "batches", least=1)
    if not batches:
        raise OptionError("batches: expected one or more, got none")
    if max(threads, default=1) > cores():
        raise OptionError(f"threads: expected 1 to {cores()}, the number of cores, got {max(threads)}")
    seconds, precision = duration(seconds, "seconds"), optional_text(precision, "precision")
    path, plugins, settings = one_path(bundle, "bundle"), registry(), SessionSettings()
    opened = _opened(path, precision, settings, bare, plugins)
    if isinstance(opened, BareBundle):
        settings = replace(settings, image_size_wh=opened.size_wh)
    possible = configurations(opened, precision, settings.threads, plugins)
    tried = _tried(opened, possible, backends, threads, plugins)
    with ExitStack() as stack:
        run = _TuningRun(Track(opened, settings, plugins), plugins, stack)
        for place, one in enumerate(tried):
            progress("opening", place, len(tried))
            run.enter(one, batches)
        if not run.entrants:
            raise PluginError(f"{bundle}: no configuration can run on this machine: {run.reasons()}")
        run.time(seconds, progress)
        rows = []
        for place, one in enumerate(tried):
            progress("measuring memory", place, len(tried))
            rows += [run.row(one, batch, settings) for batch in batches]
    first = choice_by_order(opened, Request(precision=precision, settings=settings), plugins)
    pairs = {one.pair for one in competitors(first, possible, plugins)}
    speeds = {one: speed for one, speed in run.speeds().items() if one.pair in pairs}
    best = winner(speeds, {}, lambda one: None)  # those that do not pass are not timed
    why = _why(best, speeds, first.entry.precision, bool(pairs))
    file = None if isinstance(opened, BareBundle) else tuning_file(opened, settings, possible)
    stored = best is not None and write_choice(file, best, opened, why)
    chosen = None if best is None else Chosen(*best.pair, best.threads)
    return Tuning(str(bundle), Machine.this(), tuple(rows), chosen, why, file if stored else None)


def _opened(
    path: Path, precision: str | None, settings: SessionSettings, bare: BareModel | None, plugins: Registry
) -> Bundle:
    described = bare_options(path, bare, {"precision": precision})
    if described is None:
        return read_bundle(path)
    return bare_bundle(path, Request(settings=settings), described, plugins)


class _TuningRun:
    """Open configurations and their measurements.

    Attributes:
        entrants: configurations that passed their known answers.
        out: status and reason of all others.
    """

    def __init__(self, track: Track, plugins: Registry, stack: ExitStack) -> None:
        self.entrants: dict[Configuration, Entrant] = {}
        self.out: dict[Configuration, tuple[str, str]] = {}
        self._track = track
        self._plugins = plugins
        self._stack = stack
        self._streams: dict[tuple[Configuration, int], list[Call]] = {}
        self._times: dict[tuple[Configuration, int], Times] = {}
        self._rates: dict[tuple[Configuration, int], float] = {}

    def enter(self, one: Configuration, batches: Sequence[int]) -> None:
        """Open a configuration, check its known answers, and lease a slot for each stream."""
        try:
            self._plugins.available_backend(one.backend, "cpu")
        except EdgeVisionError as error:
            self.out[one] = "not run", str(error)
            return
        try:
            if one.pair not in {each.pair for each in self.entrants}:
                backend, settings = self._plugins.backend(one.backend), self._track.settings(one)
                check_opens(
                    f"{self._track.path}: {one.entry.id}", self._track.artifact(one.entry), backend, settings
                )
            entrant = self._track.enter(one, self._stack)
            self._track.check(entrant.session, one.entry)
            for batch in batches:
                if batch == 1 or entrant.session.dynamic_batch:
                    self._streams[one, batch] = self._slots(entrant, batch)
        except EdgeVisionError as error:
            self.out[one] = "failed", str(error)
            for batch in batches:
                self._streams.pop((one, batch), None)
        else:
            self.entrants[one] = entrant

    def time(self, seconds: float, progress: Progress) -> None:
        """Measure the latencies in turn, then the throughput of each."""
        progress("timing", 0, len(self._streams))
        keys = {str(place): key for place, key in enumerate(self._streams)}
        calls = {name: self._streams[key][0] for name, key in keys.items()}
        times = interleave_bursts(calls, seconds * _LATENCY_SHARE, _ROUNDS)
        self._times = {keys[name]: taken for name, taken in times.items()}
        window = seconds * (1 - _LATENCY_SHARE) / len(keys)
        for place, (key, streams) in enumerate(self._streams.items()):
            progress("timing", place, len(self._streams))
            self._rates[key] = rate(streams, window) * key[1]

    def speeds(self) -> dict[Configuration, Speed]:
        """Speeds of the configurations with a batch of one."""
        return {
            one: Speed(self._times[one, 1].wall_us / 1e3, entrant.opening_ms)
            for one, entrant in self.entrants.items()
            if (one, 1) in self._times
        }

    def row(self, one: Configuration, batch: int, settings: SessionSettings) -> TuningRow:
        """The measurements of a configuration; measures its memory now."""
        what = one.entry.id, one.entry.precision, one.backend, one.threads, batch
        if one in self.out:
            return TuningRow(*what, *self.out[one])
        if (one, batch) not in self._times:
            return TuningRow(*what, "not run", "the artifact has a fixed batch size")
        return TuningRow(
            *what,
            status="passed",
            latency=self._times[one, batch],
            per_second=self._rates[one, batch],
            opening_ms=self.entrants[one].opening_ms,
            memory_mb=self._memory_mb(one, batch, settings),
        )

    def _memory_mb(self, one: Configuration, batch: int, settings: SessionSettings) -> float | None:
        """`None` where it cannot be measured: that is no reason to lose the times."""
        artifact, own = self._track.artifact(one.entry), one.session_settings(settings)
        try:
            return run_costs(artifact, one.backend, own, batch).peak_memory_mb
        except InferenceError as error:
            info("%s: memory not measured: %s", one, error)
            return None

    def reasons(self) -> str:
        """The reasons of all configurations that did not pass."""
        return "; ".join(dict.fromkeys(f"{one.backend}: {reason}" for one, (_, reason) in self.out.items()))

    def _slots(self, entrant: Entrant, batch: int) -> list[Call]:
        streams = max(1, cores() // entrant.configuration.threads)
        slots = [self._track.slot(entrant.session, batch, self._stack) for _ in range(streams)]
        for slot in slots:
            slot.run()
        return [slot.run for slot in slots]


def _tried(
    bundle: Bundle,
    possible: Sequence[Configuration],
    backends: Sequence[str],
    threads: Sequence[int],
    plugins: Registry,
) -> list[Configuration]:
    asked = {plugins.backend(name).name for name in backends}
    tried = [one for one in possible if not asked or one.backend in asked]
    if not tried:
        have = ", ".join(dict.fromkeys(f"{one.entry.id} ({one.backend})" for one in possible))
        raise OptionError(f"{bundle.path}: no artifact for {', '.join(backends)}; available: {have}")
    if not threads:
        return tried
    counts = sorted(set(threads))
    return list(dict.fromkeys(replace(one, threads=count) for one in tried for count in counts))


def _why(
    best: Configuration | None, speeds: Mapping[Configuration, Speed], precision: str, on_cpu: bool
) -> str:
    if best is not None:
        return f"the fastest of {len(speeds)} over {CALLS:,} calls at their median latency, loading included"
    if not on_cpu:
        return "by its order, the bundle runs on a GPU or NPU, which tuning does not change"
    return f"no row with a batch of 1 passed in {precision}, the default precision of the bundle"
