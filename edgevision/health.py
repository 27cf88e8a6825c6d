"""Health of a loaded model by name, from inferences whose answers are known.

A check runs the model's session on one known input and compares the outputs with the known ones. Checks run
when a caller asks, or by a schedule in a thread of their own. What watches a model holds its session, and
never the model itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from edgevision.errors import (
    ForkedSessionError,
    InferenceError,
    OptionError,
    ProcessError,
    RestartLimitError,
    SessionClosedError,
    first_line,
)
from edgevision.observation import observers
from edgevision.session import CheckedSession
from edgevision.system.arguments import duration, whole_number
from edgevision.system.clock import Clock, Instant, Running, SystemClock

STARTING, OK, DEGRADED, STALE, FAILED, STOPPED = "starting", "ok", "degraded", "stale", "failed", "stopped"
#: All states of `Health`.
STATES = (STARTING, OK, DEGRADED, STALE, FAILED, STOPPED)

#: Runs the model once on a known input; raises if the answer is not the known one.
Check = Callable[[], None]

_NS_PER_S = 1_000_000_000
#: After so many periods without a good answer a model is stale, unless the caller says otherwise.
_STALE_PERIODS = 3
_MOST_CHECKS = 1_000_000
#: Largest difference of an answer from the model's own first one, as a share of the output's range.
_OWN_TOLERANCE = 0.01


@dataclass(frozen=True)
class Health:
    """The health of a model at one time.

    Attributes:
        state: ``starting``: no known answer was checked yet, or the process of the runtime is being replaced;
            ``ok``: the last check gave the known answer; ``degraded``: it did, and a fallback answers;
            ``stale``: no answer came within the stated time; ``failed``: the last check gave another answer,
            or none; ``stopped``: the model is closed.
        reason: why it is not ``ok``; else empty.
        since: when it came into this state, as far as it was looked at.
        last_answer_s: age in seconds of the last answer that was given without an error, to a check or to a
            call; `None` before the first.
        checks, failed_checks: how many were made, and how many of them failed.
        restarts: how often the process of an isolated runtime was replaced.
        backend, device, precision: of the session that answers.
        bundle_digest: of the bundle that answers; `None` for a bare file.
    """

    state: str
    reason: str
    since: Instant
    last_answer_s: float | None
    checks: int
    failed_checks: int
    restarts: int
    backend: str
    device: str
    precision: str
    bundle_digest: str | None = None

    @property
    def usable(self) -> bool:
        """True if the model's answers can be relied on: ``ok`` or ``degraded``."""
        return self.state in (OK, DEGRADED)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the time as ISO 8601, UTC."""
        age = self.last_answer_s
        rounded = {"since": self.since.iso(), "last_answer_s": None if age is None else round(age, 3)}
        return {**asdict(self), **rounded}

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else self.state


@dataclass(frozen=True)
class HealthChecks:
    """A schedule of checks.

    Attributes:
        every_s: seconds between two checks, each one inference on one of the known inputs in turn.
        stale_after_s: seconds without an answer, to a check or to a call, after which the model is ``stale``;
            `None` is three times `every_s`.
        return_after: good checks in a row after which an earlier model takes over again from a fallback;
            `None`: it never does by itself, see `edgevision.load`.

    Raises:
        OptionError: a field has an invalid value; names it.
    """

    every_s: float = 10.0
    stale_after_s: float | None = None
    return_after: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "every_s", duration(self.every_s, "every_s"))
        if self.stale_after_s is not None:
            stale_after_s = duration(self.stale_after_s, "stale_after_s")
            if stale_after_s < self.every_s:
                raise OptionError(
                    f"stale_after_s: expected {self.every_s:g} s or more, the time between two checks, "
                    f"got {stale_after_s:g}"
                )
            object.__setattr__(self, "stale_after_s", stale_after_s)
        if self.return_after is not None:
            count = whole_number(self.return_after, "return_after", least=1, most=_MOST_CHECKS)
            object.__setattr__(self, "return_after", count)

    @property
    def stale_s(self) -> float:
        """Seconds without an answer after which the model is stale."""
        return _STALE_PERIODS * self.every_s if self.stale_after_s is None else self.stale_after_s


def health_checks_of(stated: object) -> HealthChecks | None:
    """The schedule that an argument `health_every_s` stands for: seconds, a `HealthChecks`, or `None`.

    Raises:
        OptionError: it is something else.
    """
    if stated is None or isinstance(stated, HealthChecks):
        return stated
    return HealthChecks(duration(stated, "health_every_s"))


class SessionMonitor:
    """The health of one session.

    Args:
        session: it.
        prepare: makes its check, before the first one; `None` compares with the session's own first answer.
        checks: the schedule; `None` for none.
        bundle_digest: of its bundle.
        clock: for all times and threads.
    """

    def __init__(
        self,
        session: CheckedSession,
        prepare: Callable[[], Check] | None = None,
        checks: HealthChecks | None = None,
        bundle_digest: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._session = session
        self._prepare = prepare
        self._check: Check | None = None
        self._checks = checks
        self._digest = bundle_digest
        self._clock = SystemClock() if clock is None else clock
        self._process = os.getpid()
        self._checking = threading.Lock()
        self._settling = threading.Lock()
        self._good_ns: int | None = None
        self._count = self._failed = 0
        self._error: str | None = None  # of the last check: empty if it was good, `None` before the first
        self._told: Health | None = None
        self._begun = self._clock.now()
        self._since = "", self._begun
        self._schedule: Schedule | None = None

    @property
    def scheduled(self) -> bool:
        """True if checks run by a schedule."""
        return self._schedule is not None

    def health(self, check: bool | None = None) -> Health:
        """The health now; see `edgevision.tasks.base.TaskModel.health`."""
        if self._process != os.getpid():
            raise ForkedSessionError("the model was loaded before this process was forked; load it here")
        if check or (check is None and not self.scheduled):
            self.check()
        return self.settle()

    def start(self) -> None:
        """Start the schedule, if there is one."""
        if self._checks is not None and self._schedule is None:
            self._session.tell_answers(self.answered)
            self._schedule = Schedule(self._checks.every_s, self.check, self.settle, self._clock)

    def stop(self) -> None:
        """End the schedule."""
        if self._process == os.getpid():
            if self._schedule is not None:
                self._schedule.stop()
            self.settle()

    def check(self) -> bool:
        """Run one check, in this thread; True if it gave the known answer."""
        with self._checking:
            if self._session.is_closed:
                return False
            try:
                self._checked_once()
                error = ""
            except (SessionClosedError, ForkedSessionError):
                return False
            except Exception as failure:  # of a plugin as well: the model must not be taken for healthy
                error = f"{type(failure).__name__}: {first_line(failure)}"
            self._count += 1
            self._failed += bool(error)
            self._error = error
            if not error:
                self.answered()
        return not error

    @property
    def error(self) -> str:
        """Of the last check; empty if it was good, or none was made."""
        return self._error or ""

    def look(self) -> Health:
        """The health now, of which nobody is told."""
        with self._settling:
            return self._now()

    def settle(self) -> Health:
        """The health now; observers are told where it changed."""
        with self._settling:
            health, before = self._now(), self._told
            self._told = health
        if before is None or before.state != health.state:
            observers.call("edgevision_health_changed", health=health, before=before)
        return health

    def _checked_once(self) -> None:
        if self._check is None:
            self._check = _OwnAnswers(self._session) if self._prepare is None else self._prepare()
        try:
            self._check()
        except RestartLimitError:
            raise
        except ProcessError:  # it is replaced: whether the next one is well is what counts
            self._check()

    def answered(self) -> None:
        """Note that an answer was given now."""
        self._good_ns = self._clock.monotonic_ns()

    def _now(self) -> Health:
        session, now = self._session, self._clock.now()
        age_s = None if self._good_ns is None else (now.monotonic_ns - self._good_ns) / _NS_PER_S
        state, reason = self._state(now, age_s)
        if self._since[0] != state:
            self._since = state, now
        return Health(
            *(state, reason, self._since[1], age_s, self._count, self._failed, session.restarts),
            *(session.backend, session.device, session.precision, self._digest),
        )

    def _state(self, now: Instant, age_s: float | None) -> tuple[str, str]:
        if self._session.is_closed:
            return STOPPED, "the model is closed"
        if self._error:
            return FAILED, self._error
        if self._checks is not None:
            waited_s = (now.monotonic_ns - self._begun.monotonic_ns) / _NS_PER_S if age_s is None else age_s
            if waited_s > self._checks.stale_s:
                return STALE, f"no answer for {waited_s:.1f} s"
        if replacing := self._session.replacing:
            return STARTING, replacing
        if self._error is None:
            return STARTING, "no known answer was checked yet"
        return OK, ""


class Schedule:
    """Checks every so often in a thread of their own, and looks at the health also while a check hangs.

    Args:
        every_s: seconds between two checks; the first is made at once.
        check: one check.
        settle: looks at the health.
        clock: for waits and threads.
    """

    def __init__(
        self, every_s: float, check: Callable[[], object], settle: Callable[[], object], clock: Clock
    ) -> None:
        self._every_s = every_s
        self._check = check
        self._settle = settle
        self._clock = clock
        self._changed = clock.condition()
        self._stopped = self._busy = False
        self._thread: Running = clock.start(self._run, "edgevision-health")

    def stop(self) -> None:
        """End it; a check in progress is not waited for."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        while not self._stopped:
            if not self._busy:
                self._busy = True
                self._clock.start(self._check_once, "edgevision-health-check")
            next_ns = self._clock.monotonic_ns() + int(self._every_s * _NS_PER_S)
            self._wait(next_ns, while_busy=True)
            self._settle()
            self._wait(next_ns)

    def _check_once(self) -> None:
        try:
            self._check()
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()

    def _wait(self, until_ns: int, while_busy: bool = False) -> None:
        with self._changed:
            while not self._stopped and (self._busy or not while_busy):
                left_s = (until_ns - self._clock.monotonic_ns()) / _NS_PER_S
                if left_s <= 0:
                    return
                self._changed.wait(left_s)


class _OwnAnswers:
    """The check of a model without known answers: what it answered first, to noise, it must answer again."""

    def __init__(self, session: CheckedSession) -> None:
        import numpy as np

        self._session = session
        self._first: dict[str, Any] | None = None
        random = np.random.default_rng(0)
        fixed = [spec.shape[0] for spec in session.inputs if spec.shape and spec.shape[0]]
        self._batch = fixed[0] if fixed else 1
        self._inputs = {
            spec.name: spec.quantize(random.random(spec.with_batch(self._batch), np.float32))
            for spec in session.inputs
        }

    def __call__(self) -> None:
        import numpy as np

        with self._session.lease(self._batch) as slot:
            for name, values in self._inputs.items():
                slot.inputs[name][...] = values
            found = {spec.name: spec.dequantize(out) for spec, out in self._outputs(slot.run())}
        if self._first is None:
            self._first = found
        for name, known in self._first.items():
            same = known.shape == found[name].shape
            span = float(np.ptp(known)) if known.size and np.isfinite(known).all() else 0.0
            if not same or not np.allclose(
                found[name], known, rtol=0, atol=_OWN_TOLERANCE * (span or 1), equal_nan=True
            ):
                raise InferenceError(f"output '{name}' is not what it was for the same input before")

    def _outputs(self, outputs: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [(spec, outputs[spec.name]) for spec in self._session.outputs]
