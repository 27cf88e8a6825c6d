"""The process that runs a runtime, as its caller sees it: started, asked, and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath
from weakref import finalize

from edgevision.artifact import Artifact
from edgevision.backend import Backend, SessionSettings
from edgevision.errors import DeadlineError, InferenceError, OptionError, ProcessError
from edgevision.execution.first_run import class_name, settings_fields
from edgevision.execution.messages import Message
from edgevision.execution.worker import end_in_words, error_of
from edgevision.isolation.channel import (
    DONE,
    DONE_AND_LARGE,
    OTHER_SHAPES,
    RUN,
    receive,
    receive_message,
    send,
    specs_of,
)
from edgevision.isolation.settings import Isolation
from edgevision.isolation.shared_tensors import SharedTensors, allocate, size_of
from edgevision.system.interpreter import interpreter_command
from edgevision.tensors import Array, TensorSpec

_HOST = "edgevision.isolation.host"
#: Seconds that an ended process has until its exit status is there. One that a driver holds in the kernel
#: cannot be waited for.
_SECONDS_TO_END = 0.05


@dataclass(frozen=True, eq=False)
class Opening:
    """The artifact and settings for a process, kept for those that replace it.

    Attributes:
        fields: backend, settings, and the names and sizes of the artifact's files.
        content: a descriptor of memory with the content of these files.
    """

    fields: Mapping[str, object]
    content: int

    @classmethod
    def of(
        cls, backend: Backend, artifact: Artifact, settings: SessionSettings, isolation: Isolation
    ) -> Opening:
        """Put an artifact in memory that the processes share.

        Raises:
            OptionError: an option's value cannot be passed to another process.
            InferenceError: there is not so much memory.
        """
        content = allocate(max(1, artifact.size_bytes))
        offset = 0
        for part in artifact.files.values():
            view = memoryview(part)
            while view:
                written = os.pwrite(content, view, offset)
                view, offset = view[written:], offset + written
        half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        limit_mb = isolation.memory_limit_mb
        opening = cls(
            {
                "backend": backend.name,
                "class": class_name(backend),
                "settings": settings_fields(replace(settings, options=_texts(settings.options))),
                "format": artifact.format,
                "precision": artifact.precision,
                "files": [[name, len(part)] for name, part in artifact.files.items()],
                "memory_limit": half if limit_mb is None else int(limit_mb * 1e6),
            },
            content,
        )
        finalize(opening, os.close, content)
        try:
            list(Message(opening.fields).parts())
        except TypeError as error:
            raise OptionError(f"isolate: options {dict(settings.options)}: {error}") from error
        return opening


@dataclass(frozen=True)
class Opened:
    """The session of a process, as it describes it: as `edgevision.backend.Session`."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    device: str
    precision: str
    fallback_nodes: tuple[str, ...]
    reports_placement: bool
    leases: bool
    call_threads: int | None


class RuntimeProcess:
    """A process that opens an artifact. It is ended with `end`, and when nothing refers to it any more.

    Starting it does not wait for it; `wait` does.

    Args:
        opening: what it opens.
        what: names it in errors.

    Attributes:
        opened: what it said of its session; `None` before `wait` returned.
        failure: why it must be replaced, in words; empty while it works.

    Raises:
        ProcessError: it cannot be started.
    """

    def __init__(self, opening: Opening, what: str) -> None:
        self.opened: Opened | None = None
        self.failure = ""
        self._what = what
        self._started = time.monotonic()
        self._asking = threading.Lock()
        self._control, theirs = socket.socketpair()
        lifeline, self._alive = os.pipe()
        try:
            self._process = _start(theirs)
        except BaseException:
            _close(self._control, self._alive)
            raise
        else:
            self._owner = os.getpid()
            self._release = finalize(self, _release, self._process, self._owner, self._control, self._alive)
            with suppress(OSError):  # it has ended; `wait` says so
                send(self._control, Message(opening.fields), (lifeline, opening.content))
        finally:
            os.close(lifeline)
            theirs.close()

    @property
    def pid(self) -> int:
        """The identifier of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """True if the process has not ended."""
        return self._process.poll() is None

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def wait(self, until: float) -> Opened:
        """Wait until the artifact is open.

        Args:
            until: on the monotonic clock, in seconds.

        Raises:
            TimeoutError: it is still starting.
            ProcessError: it has ended.
            EdgeVisionError: the backend refuses the artifact.
        """
        if self.opened is None:
            try:
                received = receive(self._control, until)
            except TimeoutError:
                raise
            except OSError as error:
                raise self.ended() from error
            if received is None:
                raise self.ended()
            fields = received[0].fields
            if "error" in fields:
                raise error_of(fields)
            self.opened = Opened(
                specs_of(fields["inputs"]),
                specs_of(fields["outputs"]),
                fields["device"],
                fields["precision"],
                tuple(fields["fallback_nodes"]),
                fields["reports_placement"],
                fields["leases"],
                fields["call_threads"],
            )
        return self.opened

    def slot(self, opened: Opened, batch: int, deadline_s: float, start_timeout_s: float) -> SharedSlot:
        """A new slot of the session.

        Raises:
            ProcessError: the process has ended, or does not answer.
            EdgeVisionError: the backend refuses the batch.
        """
        memory = allocate(size_of(opened.inputs, opened.outputs, batch))
        ours, theirs = socket.socketpair()
        try:
            tensors = SharedTensors(memory, opened.inputs, opened.outputs, batch)
            with self._asking:  # messages of several threads must not mix
                send(self._control, Message({"batch": batch}), (memory, theirs.fileno()))
            theirs.close()
            received = receive(ours, time.monotonic() + start_timeout_s)
            if received is None:
                raise self.ended()
            if "error" in received[0].fields:
                raise error_of(received[0].fields)
            return SharedSlot(self, ours, tensors, deadline_s)
        except TimeoutError:
            ours.close()
            raise self.stalled(f"a slot of batch {batch} was not ready in {start_timeout_s:g} s") from None
        except OSError as error:
            ours.close()
            raise self.ended() from error
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(memory)

    # A new error each time, and texts are kept: a raised one refers to the frames that it went through, and
    # with them to this process.
    def ended(self) -> ProcessError:
        """The error of a call whose process closed its channel."""
        if not self.failure:
            reason = end_in_words(self._process, _SECONDS_TO_END)
            self.failure = f"{self._what}: {reason} in a process of its own"
        return ProcessError(self.failure)

    def stalled(self, reason: str) -> DeadlineError:
        """The error of a call that took too long; the process is ended."""
        error = DeadlineError(f"{self._what}: {reason}; its process was ended")
        self.failure = self.failure or str(error)
        self.end()
        return error

    def not_open_within(self, seconds: float) -> DeadlineError:
        """The error of a process that takes too long to start; it is ended."""
        return self.stalled(f"the model was not open within {seconds:g} s")

    def end(self) -> None:
        """End the process, without waiting for one that the kernel does not let go. May be called twice."""
        _end(self._process, self._owner)
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Close what keeps the process alive: in the child of a fork."""
        self._release.detach()
        _close(self._control, self._alive)


class SharedSlot:
    """A slot whose runtime is in another process, and whose input memory both have.

    Attributes:
        inputs: as in `edgevision.backend.Slot`.
        process: runs it.
        is_large: whether its process had more memory in use than its limit, at the last run.
        is_spent: whether it must not run again: a run failed, or was left before its answer was read, which
            another run would take for its own.
    """

    def __init__(
        self, process: RuntimeProcess, channel: socket.socket, tensors: SharedTensors, deadline_s: float
    ) -> None:
        self.inputs = tensors.inputs
        self.process = process
        self.is_large = False
        self._outputs = tensors.outputs
        self._channel = channel
        self._deadline_s = deadline_s
        self.is_spent = False
        channel.settimeout(deadline_s)
        finalize(self, channel.close)

    def run(self) -> dict[str, Array]:
        """As `edgevision.backend.Slot.run`.

        Raises:
            DeadlineError: no answer came in time; the process must be ended.
            ProcessError: the process has ended.
            EdgeVisionError: what the run raised.
        """
        channel = self._channel
        try:
            if self.is_spent:
                raise InferenceError(
                    "an earlier run of this slot failed or was interrupted; lease another one"
                )
            self.is_spent = True
            channel.send(RUN)
            answer = channel.recv(1)
            if answer == DONE:
                self.is_spent = False
                return {name: array.copy() for name, array in self._outputs.items()}
            return self._answer(answer)
        except TimeoutError:
            raise self.process.stalled(f"no answer within {self._deadline_s * 1e3:g} ms") from None
        except OSError as error:
            raise self.process.ended() from error

    def _answer(self, answer: bytes) -> dict[str, Array]:
        """The outputs or the error of an answer that is not the usual one."""
        if not answer:
            raise self.process.ended()
        if answer == DONE_AND_LARGE:
            self.is_spent, self.is_large = False, True
            return {name: array.copy() for name, array in self._outputs.items()}
        message = receive_message(self._channel, time.monotonic() + self._deadline_s)
        self._channel.settimeout(self._deadline_s)
        if message is None:
            raise self.process.ended()
        self.is_spent = False
        if answer == OTHER_SHAPES:
            return dict(message.arrays)
        error = error_of(message.fields)
        self.is_spent = isinstance(error, InferenceError)  # as the other process sees it
        raise error


def _texts(options: Mapping[str, object]) -> dict[str, object]:
    """Options with paths as texts, which backends take as well."""
    return {name: str(value) if isinstance(value, PurePath) else value for name, value in options.items()}


def _start(control: socket.socket) -> subprocess.Popen[bytes]:
    command = interpreter_command(_HOST)
    try:
        return subprocess.Popen(
            command,
            stdin=control.fileno(),
            stdout=subprocess.DEVNULL,
            # Ctrl-C on a terminal goes to the caller alone.
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"{command[0]}: cannot be started: {error.strerror or error}") from error


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """Kill a process and its children."""
    if os.getpid() == owner and process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(_SECONDS_TO_END)
        except (
            subprocess.TimeoutExpired
        ):  # the kernel frees its memory: nobody waits, but its end is collected
            threading.Thread(target=process.wait, name="edgevision-ending", daemon=True).start()


def _release(process: subprocess.Popen[bytes], owner: int, control: socket.socket, alive: int) -> None:
    _end(process, owner)
    _close(control, alive)


def _close(control: socket.socket, alive: int) -> None:
    control.close()
    os.close(alive)
