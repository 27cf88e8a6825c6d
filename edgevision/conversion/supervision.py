"""Supervision of the process that converts a source: its limits, its progress, and its log."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from edgevision.conversion.applied_limits import AppliedLimits
from edgevision.conversion.phases import Activity, Phase
from edgevision.errors import ProcessError, SourceLimitError
from edgevision.execution.messages import Message
from edgevision.system.process_family import ProcessFamily, processor_seconds
from edgevision.system.progress import Progress

#: A process that computes for this share of a second and more is not idle.
_BUSY_SHARE = 0.02
#: A process that had this share of a core, or more, was not kept from computing by others.
_UNDISTURBED_SHARE = 0.8
#: Times as long as a limit on computing may take on the clock.
_MOST_WAITING = 3
_STDERR = 2


class ConversionSupervisor:
    """Follows a conversion in another process; see `edgevision.execution.worker.Supervisor`.

    Args:
        source: the trained model, for errors.
        limits: what the process may use.
        family: the process and its children.
        progress: the caller's function, or `None`.
        since: when the conversion began, on the monotonic clock; earlier processes count.

    Attributes:
        limits: as passed.
        activity: what the process is doing.
    """

    def __init__(
        self,
        source: Path,
        limits: AppliedLimits,
        family: ProcessFamily,
        progress: Progress | None,
        since: float,
    ) -> None:
        self.limits = limits
        self.activity = Activity(Phase.PREPARING)
        self._source = source
        self._family = family
        self._progress = progress
        self._start = since
        self._phase_start = self._last_busy = time.monotonic()
        self._phase_computed = self._computed = 0.0

    def heard(self, report: Message) -> None:
        """Pass on progress and log lines, and note activities.

        Raises:
            ProcessError: it is of no known kind.
        """
        fields = report.fields
        try:
            if "phase" in fields:
                artifact, has_others = str(fields["artifact"]), bool(fields["has_others"])
                self.activity = Activity(Phase(fields["phase"]), artifact, has_others)
                self._phase_start, self._phase_computed = time.monotonic(), float(fields["computed_s"])
                return
            if "log" in fields:
                line, level = str(fields["log"]), int(fields["level"])
            else:
                stage, done, total = str(fields["stage"]), int(fields["done"]), int(fields["total"])
        except (KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ProcessError(
                f"{self._source}: the process that converts sent what is no report ({reason})"
            ) from error
        if "log" in fields:
            logging.getLogger("edgevision").log(level, "%s", line)
        elif self._progress is not None:
            before = time.monotonic()
            self._progress(stage, done, total)
            self._do_not_count(time.monotonic() - before)

    def _do_not_count(self, seconds: float) -> None:
        """Leave out time in which the caller kept the process waiting."""
        self._start += seconds
        self._phase_start += seconds
        self._last_busy += seconds

    def printed(self, text: bytes) -> None:
        """Pass on what libraries print."""
        with suppress(OSError):  # stderr is closed
            os.write(_STDERR, text)

    def look(self, pid: int) -> None:
        """Check the limits.

        Raises:
            SourceLimitError: one is exceeded.
        """
        self._check_memory()
        self._check_time(pid)

    def exceeded(self, name: str, value: float, found: str) -> SourceLimitError:
        """The error for a limit.

        Args:
            name: field of `SourceLimits`.
            value: the limit.
            found: what happened.
        """
        raised = _number(float(f"{2 * value:.1e}"))
        return SourceLimitError(
            f"{self._source}: {found}, {self.activity} (limit {name}: {_number(value)}); if you trust the "
            f"model, raise the limit: --limit {name}={raised} (source_limits=SourceLimits({name}={raised}))"
        )

    def _check_memory(self) -> None:
        limits = self.limits
        most = limits.whole_gb if self.activity.phase is Phase.CONVERTING else limits.reading_gb
        used = self._family.resident_bytes() / 1e9
        if used > most:
            raise self.exceeded("memory_gb", most, f"{used:.1f} GB of memory were in use")

    def _check_time(self, pid: int) -> None:
        now, limits = time.monotonic(), self.limits
        if limits.total_s is not None and now - self._start > limits.total_s:
            raise self.exceeded("total_s", limits.total_s, f"{now - self._start:.0f} s passed")
        computed, idle = self._family.processor_seconds(), now - self._last_busy
        if abs(computed - self._computed) > _BUSY_SHARE * idle:  # less, where a member has ended
            self._computed, self._last_busy = computed, now
        elif idle > limits.idle_s and computed:  # 0 where the system does not say
            raise self.exceeded("idle_s", limits.idle_s, f"nothing was computed for {idle:.0f} s")
        of_phase = {Phase.CHECKING: limits.checking_s, Phase.READING: limits.reading_s}
        most = of_phase.get(self.activity.phase)
        if most is None:
            return
        elapsed = now - self._phase_start
        computing = processor_seconds(pid) - self._phase_computed
        if elapsed > _MOST_WAITING * most or (elapsed > most and computing > _UNDISTURBED_SHARE * most):
            raise self.exceeded("reading_s", most, f"{elapsed:.0f} s passed")


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
