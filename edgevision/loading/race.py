"""The fastest artifact and backend of a bundle on this machine: measured shortly on first use, then kept.

The candidates have the precision of the one that the bundle's order takes. Each is run on the bundle's
known inputs, and none wins that does not give its known answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings, Slot
from edgevision.bundle.known_answers import KnownAnswers, check_known_answers, read_known_answers
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.errors import first_line
from edgevision.loading.cache import read_choice, tuning_file, write_choice
from edgevision.loading.choice import Choice, Configuration, first_choice, reason_against
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.timing import Effort, interleave_bursts

#: Seconds of CPU time, for other programs are not to decide what is tried. After these no candidate is
#: opened any more, and none of which another with the same artifact and backend took too long.
_OPENING_S = 0.2
_TIMING_S = 0.1
#: So many calls are to earn back what opening takes longer: those of six minutes of video.
CALLS = 10_000
#: A candidate that is faster by less than this share is not worth more threads, or another order.
NOISE = 0.2

_log = logging.getLogger("edgevision")


def tuned_choice(
    bundle: Bundle,
    settings: SessionSettings,
    precision: str | None,
    possible: Sequence[Configuration],
    plugins: Registry,
) -> Choice:
    """What was measured to be the fastest, now or before; else what the bundle's order takes.

    Args:
        bundle: whose artifact is to run.
        settings, precision: that were asked for; the device is the CPU, or none.
        possible: what `edgevision.loading.choice.candidates` gave, two or more.
        plugins: of this process.

    Raises:
        OptionError, PluginError, MissingRuntimeError: as `edgevision.loading.choice.first_choice`.
    """
    file = tuning_file(bundle, settings, possible)
    kept = read_choice(file, possible)
    if kept is not None and not reason_against(kept.backend, "cpu", plugins):
        _log.info("%s: %s, as measured before (%s)", bundle.path, kept, file)
        return kept.choice(settings, plugins)
    first = first_choice(bundle, None, settings, precision, plugins)
    rivals = rivals_of(first, possible, plugins)
    if not rivals:
        return first
    result = race(bundle, rivals, settings, plugins)
    if result.winner is None:
        _log.warning(
            "%s: taken by the bundle's order, for measuring chose none: %s", bundle.path, result.told()
        )
        return first
    write_choice(file, result.winner, bundle, result.told())
    _log.info("%s: %s: %s", bundle.path, result.winner, result.told())
    return result.winner.choice(settings, plugins)


def rivals_of(first: Choice, possible: Sequence[Configuration], plugins: Registry) -> list[Configuration]:
    """Those that compete with what the bundle's order takes, and can run here: itself the first of them.

    None, if it does not run on the CPU.
    """
    pair = first.entry.id, first.backend.name
    names = {one.backend for one in possible}
    ready = {name for name in names if _is_ready(name, plugins)}
    default = first.settings.device or first.backend.devices()[0].name
    if default != "cpu":
        return []
    same = [one for one in possible if one.entry.precision == first.entry.precision and one.backend in ready]
    return sorted(same, key=lambda one: one.pair != pair)


def _is_ready(name: str, plugins: Registry) -> bool:
    try:
        return not reason_against(name, "cpu", plugins)
    except Exception:  # of a stranger's plugin, without which the bundle would run
        return False


@dataclass(frozen=True)
class Speed:
    """How fast a candidate is.

    Attributes:
        latency_ms: the median time of a run of the network, on one known input.
        opening_ms: until its first run was over, without the import of its runtime; CPU time, or a
            quarter of the time, if that is more.
    """

    latency_ms: float
    opening_ms: float

    @property
    def cost_ms(self) -> float:
        """Of one of `CALLS` runs, opening counted in."""
        return self.latency_ms + self.opening_ms / CALLS

    def __str__(self) -> str:
        return f"{self.latency_ms:.3g} ms, opened in {self.opening_ms:.0f} ms"


@dataclass
class Race:
    """What came of a measurement.

    Attributes:
        speeds: candidate -> how fast it is.
        out: candidate -> why it was not timed, or may not win.
        winner: the fastest that gives its known answers; `None` where none does.
    """

    speeds: dict[Configuration, Speed] = field(default_factory=dict)
    out: dict[Configuration, str] = field(default_factory=dict)
    winner: Configuration | None = None

    def told(self) -> str:
        """In one line."""
        reasons: dict[str, list[str]] = {}
        for one, why in self.out.items():
            reasons.setdefault(why, []).append(str(one))
        timed = [f"{one}: {speed}" for one, speed in self.speeds.items()]
        return "; ".join([*timed, *(f"{' and '.join(names)}: {why}" for why, names in reasons.items())])


def race(
    bundle: Bundle, rivals: Sequence[Configuration], settings: SessionSettings, plugins: Registry
) -> Race:
    """Measure in about 0.3 s of CPU time; there is no winner if the first of `rivals` cannot be run.

    What takes long to open is not opened again with other threads, and nothing is opened once
    opening has taken 0.2 s in all. The known answers of the fastest are checked besides.
    """
    result = Race()
    with ExitStack() as stack:
        try:
            track = Track(bundle, settings, plugins)
            entrants = _entered(track, rivals, result, stack)
            times = interleave_bursts({str(place): one.run for place, one in enumerate(entrants)}, _TIMING_S)
        except Exception as error:  # of any runtime: what the bundle's order takes may still run
            result.out[rivals[0]] = first_line(error)
            return result
        for one, row in zip(entrants, times.values(), strict=True):
            result.speeds[one.candidate] = Speed(row.wall_us / 1e3, one.opening_ms)
        sessions = {one.candidate: one.session for one in entrants}
        result.winner = winner(result.speeds, result.out, lambda one: track.check(sessions[one], one.entry))
    return result


def winner(
    speeds: Mapping[Configuration, Speed],
    out: dict[Configuration, str],
    check: Callable[[Configuration], object],
) -> Configuration | None:
    """The fastest that passes; of those that are as fast, up to noise, the first with the fewest threads.

    Args:
        speeds: candidate -> how fast it is, in the bundle's order.
        out: takes in those that do not pass, and why.
        check: raises if a candidate does not pass.
    """
    left = sorted(speeds, key=lambda one: one.threads)
    while left:
        limit = min(speeds[one].cost_ms for one in left) * (1 + NOISE)
        best = next(one for one in left if speeds[one].cost_ms <= limit)
        try:
            check(best)
        except Exception as error:  # a stranger's plugin may raise anything
            _log.warning("%s does not win: %s", best, error)
            out[best] = first_line(error)
            left.remove(best)
        else:
            return best
    return None


@dataclass(frozen=True)
class Entrant:
    """A candidate that is open, on a slot that holds a known input.

    Attributes:
        candidate: which.
        session: its network.
        run: runs the network once.
        opening_ms: until its first run was over.
    """

    candidate: Configuration
    session: CheckedSession
    run: Callable[[], object]
    opening_ms: float


class Track:
    """What the candidates of one bundle are run with; each artifact is read once.

    Raises:
        BundleError: the bundle is damaged.
    """

    def __init__(self, bundle: Bundle, settings: SessionSettings, plugins: Registry) -> None:
        manifest = bundle.manifest
        where = str(Path(bundle.path, manifest.selftest.path))
        self.known: KnownAnswers = read_known_answers(
            bundle.read(manifest.selftest), manifest.preprocessing, where
        )
        self._bundle = bundle
        self._settings = settings
        self._plugins = plugins
        self._artifacts: dict[str, Artifact] = {}

    def enter(self, candidate: Configuration, stack: ExitStack) -> Entrant:
        """Open a candidate, write a known input, and run it once; `stack` closes it.

        Raises:
            EdgeVisionError: it cannot be opened or run.
        """
        artifact, choice = self.artifact(candidate.entry), candidate.choice(self._settings, self._plugins)
        effort = Effort()
        session = open_session(choice.backend, artifact, choice.settings)
        stack.callback(session.close)
        slot = self.slot(session, 1, stack)
        slot.run()
        return Entrant(candidate, session, slot.run, effort.seconds * 1e3)

    def artifact(self, entry: ArtifactEntry) -> Artifact:
        """Read once, its digest checked."""
        if entry.id not in self._artifacts:
            self._artifacts[entry.id] = self._bundle.artifact(entry)
        return self._artifacts[entry.id]

    def slot(self, session: CheckedSession, batch: int, stack: ExitStack) -> Slot:
        """Lend a slot, and write the first known input into it, `batch` times."""
        with session.lease(1) as slot:
            self.known.known_inputs.write(0, session, slot)
            written = {name: values.copy() for name, values in slot.inputs.items()}
        lent = stack.enter_context(session.lease(batch))
        for name, values in lent.inputs.items():
            values[...] = written[name]
        return lent

    def check(self, session: CheckedSession, entry: ArtifactEntry) -> float:
        """As `edgevision.bundle.known_answers.check_known_answers`."""
        return check_known_answers(session, self.known, entry.id, entry.precision)


def _entered(track: Track, rivals: Sequence[Configuration], result: Race, stack: ExitStack) -> list[Entrant]:
    """Those that could be opened while there was time; raises if the first cannot."""
    entrants: list[Entrant] = []
    needed_s: dict[tuple[str, str], float] = {}
    effort = Effort()
    for candidate in rivals:
        before = effort.seconds
        if before + needed_s.get(candidate.pair, 0.0) > _OPENING_S and entrants:
            result.out[candidate] = "not tried, for opening takes long; edgevision tune tries all"
            continue
        try:
            entrants.append(track.enter(candidate, stack))
        except Exception as error:  # of a stranger's plugin too, without which the bundle would run
            if not entrants:
                raise
            result.out[candidate] = first_line(error)
        needed_s[candidate.pair] = effort.seconds - before
    return entrants
