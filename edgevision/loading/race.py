"""The race: which of several configurations of a bundle is the fastest on this machine.

Each runs on the bundle's known inputs, and none wins that does not give its known answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edgevision.artifact import Artifact
from edgevision.backend import SessionSettings, Slot
from edgevision.bundle.answers_on_session import answers_of
from edgevision.bundle.known_answers import KnownAnswers, check_known_answers
from edgevision.bundle.manifest import ArtifactEntry
from edgevision.bundle.storage import Bundle
from edgevision.errors import BundleError, first_line
from edgevision.loading.configurations import Configuration
from edgevision.plugins import Registry
from edgevision.session import CheckedSession, open_session
from edgevision.system.timing import Effort, interleave_bursts

#: Seconds of CPU time, so that other programs do not decide what is tried. Once opening has taken as
#: long, no further configuration is opened; nor is one whose pair took too long with other threads.
_OPENING_S = 0.2
_TIMING_S = 0.1
#: Calls within which a longer opening must pay off: those of six minutes of video.
CALLS = 10_000
#: A configuration must be faster by more than this share to justify more threads or another order.
NOISE = 0.2

_log = logging.getLogger("edgevision")


@dataclass(frozen=True)
class Speed:
    """The speed of a configuration.

    Attributes:
        latency_ms: median time of one run of the network, on one known input.
        opening_ms: time until the end of the first run, without the import of the runtime: CPU time, or
            a quarter of the wall time, if that is more.
    """

    latency_ms: float
    opening_ms: float

    @property
    def cost_ms(self) -> float:
        """Time of one of `CALLS` runs, opening included."""
        return self.latency_ms + self.opening_ms / CALLS

    def __str__(self) -> str:
        return f"{self.latency_ms:.3g} ms, opened in {self.opening_ms:.0f} ms"


@dataclass
class Race:
    """The result of a race.

    Attributes:
        speeds: configuration -> its speed.
        out: configuration -> why it was not timed, or cannot win.
        winner: the fastest that gives its known answers; `None` where none does.
    """

    speeds: dict[Configuration, Speed] = field(default_factory=dict)
    out: dict[Configuration, str] = field(default_factory=dict)
    winner: Configuration | None = None

    def summary(self) -> str:
        """All speeds and reasons in one line."""
        reasons: dict[str, list[str]] = {}
        for one, why in self.out.items():
            reasons.setdefault(why, []).append(str(one))
        timed = [f"{one}: {speed}" for one, speed in self.speeds.items()]
        return "; ".join([*timed, *(f"{' and '.join(names)}: {why}" for why, names in reasons.items())])


def race(
    bundle: Bundle, rivals: Sequence[Configuration], settings: SessionSettings, plugins: Registry
) -> Race:
    """Time configurations in about 0.3 s of CPU time; there is no winner if the first of them cannot run.

    A configuration that takes long to open is not opened again with other threads, and none is opened
    after 0.2 s of opening in all. Then the known answers of the fastest are checked.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    result = Race()
    with ExitStack() as stack:
        try:
            track = Track(bundle, settings, plugins)
            entrants = _entered(track, rivals, result, stack)
            times = interleave_bursts({str(place): one.run for place, one in enumerate(entrants)}, _TIMING_S)
        except BundleError:
            raise  # damage that was noticed is never passed over
        except Exception as error:  # of any runtime: the bundle's order may still decide
            result.out[rivals[0]] = first_line(error)
            return result
        for one, row in zip(entrants, times.values(), strict=True):
            result.speeds[one.configuration] = Speed(row.wall_us / 1e3, one.opening_ms)
        sessions = {one.configuration: one.session for one in entrants}
        result.winner = winner(result.speeds, result.out, lambda one: track.check(sessions[one], one.entry))
    return result


def winner(
    speeds: Mapping[Configuration, Speed],
    out: dict[Configuration, str],
    check: Callable[[Configuration], object],
) -> Configuration | None:
    """The fastest that passes; of those as fast up to `NOISE`, the first with the fewest threads.

    Args:
        speeds: configuration -> its speed, in the bundle's order.
        out: receives those that do not pass, and the reasons.
        check: raises if a configuration does not pass.
    """
    left = sorted(speeds, key=lambda one: one.threads)
    while left:
        limit = min(speeds[one].cost_ms for one in left) * (1 + NOISE)
        best = next(one for one in left if speeds[one].cost_ms <= limit)
        try:
            check(best)
        except Exception as error:  # a third party's plugin may raise anything
            _log.warning("%s does not win: %s", best, error)
            out[best] = first_line(error)
            left.remove(best)
        else:
            return best
    return None


@dataclass(frozen=True)
class Entrant:
    """An open configuration, with a slot that holds a known input.

    Attributes:
        configuration: the artifact, backend and threads.
        session: its network.
        run: runs the network once.
        opening_ms: as in `Speed`.
    """

    configuration: Configuration
    session: CheckedSession
    run: Callable[[], object]
    opening_ms: float


class Track:
    """Opens configurations of one bundle on its known inputs; each artifact is read once.

    Raises:
        BundleError: the known answers are damaged.
    """

    def __init__(self, bundle: Bundle, settings: SessionSettings, plugins: Registry) -> None:
        self.known: KnownAnswers = answers_of(bundle)
        self._bundle = bundle
        self._settings = settings
        self._plugins = plugins
        self._artifacts: dict[str, Artifact] = {}

    @property
    def path(self) -> Path:
        """The bundle's."""
        return self._bundle.path

    def settings(self, configuration: Configuration) -> SessionSettings:
        """The settings with which a configuration is opened."""
        return configuration.session_settings(self._settings)

    def enter(self, configuration: Configuration, stack: ExitStack) -> Entrant:
        """Open a configuration, write a known input, and run it once; `stack` closes it.

        Raises:
            BundleError: the artifact is damaged.
            EdgeVisionError: it cannot be opened or run.
        """
        artifact, backend = self.artifact(configuration.entry), self._plugins.backend(configuration.backend)
        effort = Effort()
        session = open_session(backend, artifact, self.settings(configuration))
        stack.callback(session.close)
        slot = self.slot(session, 1, stack)
        slot.run()
        return Entrant(configuration, session, slot.run, effort.seconds * 1e3)

    def artifact(self, entry: ArtifactEntry) -> Artifact:
        """The artifact's bytes, read on the first call."""
        if entry.id not in self._artifacts:
            self._artifacts[entry.id] = self._bundle.artifact(entry)
        return self._artifacts[entry.id]

    def slot(self, session: CheckedSession, batch: int, stack: ExitStack) -> Slot:
        """Lend a slot with the first known input, `batch` times, until `stack` closes."""
        with session.lease(1) as slot:
            self.known.known_inputs.write(0, session, slot)
            written = {name: values.copy() for name, values in slot.inputs.items()}
        lent = stack.enter_context(session.lease(batch))
        for name, values in lent.inputs.items():
            values[...] = written[name]
        return lent

    def check(self, session: CheckedSession, entry: ArtifactEntry) -> float:
        """Check the known answers, as `edgevision.bundle.known_answers.check_known_answers`."""
        return check_known_answers(session, self.known, entry.id, entry.precision)


def _entered(track: Track, rivals: Sequence[Configuration], result: Race, stack: ExitStack) -> list[Entrant]:
    """Open configurations while there is time; raise if the first cannot be opened."""
    entrants: list[Entrant] = []
    needed_s: dict[tuple[str, str], float] = {}
    effort = Effort()
    for one in rivals:
        before = effort.seconds
        if before + needed_s.get(one.pair, 0.0) > _OPENING_S and entrants:
            result.out[one] = "not tried, because opening takes long; edgevision tune tries all"
            continue
        try:
            entrants.append(track.enter(one, stack))
        except BundleError:
            raise
        except Exception as error:  # of a third party's plugin too, without which the bundle runs
            if not entrants:
                raise
            result.out[one] = first_line(error)
        needed_s[one.pair] = effort.seconds - before
    return entrants
