"""A session whose runtime is in a process of its own, which is replaced when it ends or stalls."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NamedTuple

from edgevision.artifact import Artifact
from edgevision.backend import Backend, DeviceInfo, Session, SessionSettings, Slot
from edgevision.errors import (
    EdgeVisionError,
    InferenceError,
    OptionError,
    ProcessError,
    RestartLimitError,
    SessionClosedError,
)
from edgevision.isolation.process import Opening, RuntimeProcess, SharedSlot
from edgevision.isolation.settings import Isolation
from edgevision.session import CheckedSession, open_session
from edgevision.slots import SlotPool, batch_of
from edgevision.system.log import error as error_line
from edgevision.system.log import warning
from edgevision.system.process_bound import bind_to_process, ends_in_another_thread, release
from edgevision.tensors import Array


def open_isolated(
    backend: Backend, artifact: Artifact, settings: SessionSettings | None, isolation: Isolation
) -> CheckedSession:
    """Load an artifact with a backend in a process of its own.

    What the session computes, and the errors that it raises, are those of `edgevision.session.open_session`.
    An exception of a plugin that is not an `EdgeVisionError` becomes an `InferenceError`.

    Args:
        backend: of an installed plugin: the other process finds it by its name.
        artifact: the artifact; kept in memory for the processes that replace the first one.
        settings: as for `open_session`.
        isolation: deadline, standby and limits.

    Raises:
        PluginError: the backend is registered in this process only.
        ProcessError: the runtime ended its process, or did not open the artifact in time.
        EdgeVisionError: as `open_session`.
    """
    return open_session(IsolatedBackend(backend, isolation), artifact, settings)


class IsolatedBackend:
    """A backend that opens its artifacts in processes of their own.

    Args:
        backend: the backend that these processes use.
        isolation: how they are watched.
    """

    def __init__(self, backend: Backend, isolation: Isolation) -> None:
        self._backend = backend
        self._isolation = isolation
        self.name = backend.name
        self.formats = backend.formats
        self.options = backend.options

    def version(self) -> str:
        """As `Backend.version`; loads the runtime in this process."""
        return self._backend.version()

    def devices(self) -> Sequence[DeviceInfo]:
        """As `Backend.devices`; loads the runtime in this process."""
        return self._backend.devices()

    def open(self, artifact: Artifact, settings: SessionSettings) -> Session:
        """As `Backend.open`."""
        _check_can_isolate()
        opening = Opening.of(self._backend, artifact, settings, self._isolation)
        supervision = _Supervision(opening, f"{artifact.name} on {self.name}", self._isolation)
        kind = LeasedIsolatedSession if supervision.opened.leases else IsolatedSession
        return kind(supervision)


def _check_can_isolate() -> None:
    """Raise where no such process can be started."""
    if not hasattr(socket, "send_fds"):
        raise OptionError(f"isolate: not supported on {sys.platform}; load the model without it")
    if getattr(sys, "frozen", False):
        raise OptionError("isolate: a frozen program has no Python of its own to start; load without it")


class IsolatedSession:
    """A `Session` in a process of its own.

    Attributes:
        inputs, outputs, device, precision: as in `Session`.
        fallback_nodes, reports_placement, call_threads: as in `edgevision.session.CheckedSession`.
    """

    def __init__(self, supervision: _Supervision) -> None:
        opened = supervision.opened
        self.inputs = opened.inputs
        self.outputs = opened.outputs
        self.device = opened.device
        self.precision = opened.precision
        self.fallback_nodes = opened.fallback_nodes
        self.reports_placement = opened.reports_placement
        self.call_threads = opened.call_threads
        self._supervision = supervision

    @property
    def restarts(self) -> int:
        """As `CheckedSession.restarts`."""
        return self._supervision.restarts

    @property
    def replacing(self) -> str:
        """As `CheckedSession.replacing`."""
        return self._supervision.replacing

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As `Session.run`."""
        with _Lease(self._supervision, batch_of(self.inputs, inputs)) as slot:
            for name, array in inputs.items():
                slot.inputs[name][...] = array
            return slot.run()

    def close(self) -> None:
        """As `Session.close`."""
        self._supervision.close()


class LeasedIsolatedSession(IsolatedSession):
    """An `IsolatedSession` that lends slots: their input memory is shared with the other process."""

    def lease(self, batch: int = 1) -> AbstractContextManager[Slot]:
        """As `LeasingSession.lease`."""
        return _Lease(self._supervision, batch)


class _Lease:
    """One lease of a slot; afterwards a process that failed is replaced."""

    __slots__ = ("_batch", "_lease", "_slot", "_supervision")

    def __init__(self, supervision: _Supervision, batch: int) -> None:
        self._supervision = supervision
        self._batch = batch

    def __enter__(self) -> Slot:
        running = self._supervision.running()
        self._lease = running.slots.lease(self._batch)
        try:
            slot = self._lease.__enter__()
        except ProcessError as error:
            self._supervision.replace(running.process, str(error))
            raise
        assert isinstance(slot, SharedSlot)  # noqa: S101 (the pool has no others)
        self._slot = slot
        return slot

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._slot.process
        if self._slot.is_spent:
            self._lease.__exit__(InferenceError, InferenceError(), None)  # the pool does not keep it
        else:
            self._lease.__exit__(kind, error, trace)
        if process.failure:
            self._supervision.replace(process, process.failure)
        elif self._slot.is_large:
            self._supervision.retire(process)


class _Running(NamedTuple):
    """A process whose session is open, and its slots."""

    process: RuntimeProcess
    slots: SlotPool


class _Supervision:
    """Has a process with an open session for every call, and replaces it when it fails.

    No thread watches it. When a process has failed, another is started without waiting for it; the next call
    waits.

    Args:
        opening: what the processes open.
        what: names it in errors.
        isolation: deadline, standby and limits.

    Attributes:
        opened: what the first process said of its session.
        restarts: how often the process was replaced.

    Raises:
        EdgeVisionError: the first process did not open it.
    """

    def __init__(self, opening: Opening, what: str, isolation: Isolation) -> None:
        self._opening = opening
        self._what = what
        self._isolation = isolation
        self._changing = threading.Lock()
        self._closed = False
        self.restarts = 0
        #: When processes were replaced, on the monotonic clock.
        self._replaced: deque[float] = deque()
        #: Why the last one was replaced, and why none is started any more.
        self._cause = self._limit = ""
        self._running: _Running | None = None
        self._standby: RuntimeProcess | None = None
        process = RuntimeProcess(opening, what)
        try:
            self.opened = process.wait(time.monotonic() + isolation.start_timeout_s)
        except TimeoutError:
            raise process.not_open_within(isolation.start_timeout_s) from None
        finally:
            if process.opened is None:
                process.end()
        self._starting: RuntimeProcess | None = process
        bind_to_process(self, "isolation")
        with self._changing:
            self._take_over(time.monotonic())

    @property
    def replacing(self) -> str:
        """Why no process takes calls at the moment; empty if one does."""
        return "" if self._running is not None else self._cause

    def running(self) -> _Running:
        """The process that takes calls.

        Raises:
            SessionClosedError: after `close`.
            RestartLimitError: it was replaced too often.
            ProcessError: it is still being replaced when the time of a call is over.
            EdgeVisionError: the new one cannot open the artifact.
        """
        running = self._running
        if running is not None and running.process.is_alive:
            return running
        until = time.monotonic() + self._isolation.deadline_s
        if not self._changing.acquire(timeout=self._isolation.deadline_s):
            raise self._being_replaced()
        try:
            running = self._running
            if running is not None and not running.process.is_alive:  # it ended between two calls
                self._replace(running.process, str(running.process.ended()))
            if self._running is None:
                self._take_over(until)
            assert self._running is not None  # noqa: S101
            return self._running
        finally:
            self._changing.release()

    def replace(self, process: RuntimeProcess, cause: str) -> None:
        """Replace a process that failed, unless that is done already."""
        running = self._running
        # Looked at before the lock, which a thread holds that waits for the new process.
        if running is None or running.process is not process:
            return
        with self._changing:
            if self._running is running:
                self._replace(process, cause)

    def retire(self, process: RuntimeProcess) -> None:
        """Replace a process that works, and let the calls in it end."""
        running = self._running
        if running is None or running.process is not process:
            return
        with self._changing:
            if self._running is running:
                # It ends with the last of its slots.
                self._count(f"{self._what}: its process exceeded its memory limit")

    def close(self) -> None:
        """End all processes; calls in progress fail."""
        self._closed = True
        release(self)
        running, starting, standby = self._running, self._starting, self._standby
        if running is not None:
            running.slots.close()
        for process in (running and running.process, starting, standby):
            if process is not None:
                process.end()

    def _take_over(self, until: float) -> None:
        """Wait for the process that is starting, and let it take calls."""
        if self._closed:
            raise SessionClosedError("the session is closed; open it again with edgevision.load(…)")
        if self._limit:
            raise RestartLimitError(self._limit)
        process = self._starting
        assert process is not None  # noqa: S101
        try:
            opened = process.wait(until)
            if opened != self.opened:
                raise InferenceError(f"{self._what}: a new process runs it as {opened}, not as {self.opened}")
        except TimeoutError:
            if process.age_s < self._isolation.start_timeout_s:
                raise self._being_replaced() from None
            error = process.not_open_within(self._isolation.start_timeout_s)
            self._replace(process, str(error))
            raise error from None
        except EdgeVisionError as error:
            if self._closed:
                raise SessionClosedError("the session was closed while its process was replaced") from error
            self._replace(process, str(error))
            raise
        isolation = self._isolation
        self._running = _Running(
            process,
            SlotPool(
                lambda batch: process.slot(opened, batch, isolation.deadline_s, isolation.start_timeout_s)
            ),
        )
        self._starting = None
        if isolation.standby:
            self._standby = RuntimeProcess(self._opening, self._what)

    def _replace(self, process: RuntimeProcess, cause: str) -> None:
        process.end()
        self._count(cause)

    def _count(self, cause: str) -> None:
        """Start another process, if the limit allows it."""
        running, self._running = self._running, None
        if running is not None:
            running.slots.close()
        self._cause = cause
        if self._closed or ends_in_another_thread():
            return
        now, limit = time.monotonic(), self._isolation
        self._replaced.append(now)
        while now - self._replaced[0] > limit.within_s:
            self._replaced.popleft()
        count = len(self._replaced)
        if count > limit.most_restarts:
            self._limit = (
                f"{cause}; after {limit.most_restarts} replacements within {limit.within_s:g} s it is not "
                "replaced again; load the model again when the cause is found"
            )
            error_line("%s", self._limit)
            self._end_standby()
            return
        warning(
            "%s; it is replaced (%d of %d times within %g s)",
            cause,
            count,
            limit.most_restarts,
            limit.within_s,
        )
        self.restarts += 1
        standby, self._standby = self._standby, None
        if standby is not None and not standby.is_alive:
            standby = None
        self._starting = standby or RuntimeProcess(self._opening, self._what)

    def _end_standby(self) -> None:
        if self._standby is not None:
            self._standby.end()

    def _being_replaced(self) -> ProcessError:
        return ProcessError(
            f"{self._what}: its process is being replaced, and did not start in time; before: {self._cause}"
        )

    def end(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.end`; the session refuses calls."""

    def pause(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.pause`; the session lets calls wait."""

    def resume(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.resume`."""

    def leave_to_parent(self) -> None:
        """As `edgevision.system.process_bound.ProcessBound.leave_to_parent`.

        What would tell the other processes that their caller lives must not be open in a fork of it.
        """
        for process in (self._running and self._running.process, self._starting, self._standby):
            if process is not None:
                process.leave()
