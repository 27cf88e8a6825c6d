"""The child process: opens one artifact, and runs it for the process that started it.

Its standard input is the control channel. Each slot has a channel of its own, on which one thread of this
process waits, so that slots run at the same time.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import Any

import numpy as np

from edgevision.artifact import Artifact
from edgevision.backend import LeasingSession, Session, SessionSettings, Slot
from edgevision.errors import EdgeVisionError, InferenceError, PluginError, first_line
from edgevision.execution.first_run import requested_backend
from edgevision.execution.limits import give_way
from edgevision.execution.messages import Message
from edgevision.execution.worker import error_fields
from edgevision.isolation.channel import (
    DONE,
    DONE_AND_LARGE,
    FAILED,
    OTHER_SHAPES,
    receive,
    send,
    spec_fields,
)
from edgevision.isolation.shared_tensors import SharedTensors
from edgevision.session import open_unchecked
from edgevision.tensors import Array


def serve() -> None:
    """Open what the first message says, then run slots until the channel ends: the main program."""
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with suppress(OSError):  # a caller without a stderr
        os.dup2(2, 1)  # libraries print, and the caller's stdout is the caller's
    opening = receive(control)
    if opening is None:
        os._exit(0)
    message, (lifeline, content) = opening
    _prepare_to_end(lifeline)
    try:
        session = _open(message, content)
        _warm_up(session)
    except (Exception, SystemExit) as error:
        send(control, Message(_fields_of(error)))
        os._exit(1)
    send(control, _opened(session))
    limit_bytes = int(message.fields["memory_limit"])
    while (received := receive(control)) is not None:
        request, descriptors = received
        arguments = session, int(request.fields["batch"]), *descriptors, limit_bytes
        threading.Thread(target=_serve_slot, args=arguments, daemon=True).start()
    os._exit(0)


def _prepare_to_end(lifeline: int) -> None:
    """End at once if this process crashes, and when the other end of a pipe is closed: when the caller ends.

    A native call that never returns would keep a thread that waits for it from running. The signal of the
    parent's death is no help: it comes when the *thread* ends that started this process.
    """
    give_way()  # and without a core dump, which would keep the caller from knowing of a crash for long
    if sys.platform == "linux":
        import fcntl  # Windows has none, and imports this module, too

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _open(message: Message, content: int) -> Session:
    fields = message.fields
    try:
        backend = requested_backend(fields)
    except PluginError as error:
        raise PluginError(
            f"isolate: backend '{fields['backend']}' is not available in a process of its own: {error}; "
            "install its plugin with an entry point of the group 'edgevision'"
        ) from error
    memory = mmap.mmap(content, 0, access=mmap.ACCESS_READ)
    os.close(content)
    ends = accumulate(size for _, size in fields["files"])
    files = {name: memory[end - size : end] for (name, size), end in zip(fields["files"], ends, strict=True)}
    memory.close()
    artifact = Artifact(fields["format"], fields["precision"], files)
    return open_unchecked(backend, artifact, SessionSettings(**fields["settings"]))


def _opened(session: Session) -> Message:
    return Message(
        {
            "inputs": spec_fields(session.inputs),
            "outputs": spec_fields(session.outputs),
            "device": session.device,
            "precision": session.precision,
            "fallback_nodes": list(getattr(session, "fallback_nodes", ())),
            "reports_placement": bool(getattr(session, "reports_placement", False)),
            "leases": isinstance(session, LeasingSession),
            "call_threads": getattr(session, "call_threads", None),
        }
    )


def _warm_up(session: Session) -> None:
    """Run once on zeros: some runtimes prepare in the first run, and none of the caller's shall wait."""
    batch = next((spec.shape[0] for spec in session.inputs if spec.shape and not spec.dynamic_batch), None)
    with suppress(EdgeVisionError):  # zeros may be refused; what the caller passes is the caller's
        if isinstance(session, LeasingSession):
            with session.lease(batch or 1) as slot:
                slot.run()
        else:
            session.run(
                {spec.name: np.zeros(spec.with_batch(batch or 1), spec.dtype) for spec in session.inputs}
            )


def _serve_slot(session: Session, batch: int, memory: int, channel: int, limit_bytes: int) -> None:
    """Run one slot until its channel ends, or a run fails after which it must not be used again."""
    with socket.socket(fileno=channel) as answers, suppress(OSError, InferenceError):
        try:
            tensors = SharedTensors(memory, session.inputs, session.outputs, batch)
            os.close(memory)
            with _leased(session, batch, tensors.inputs) as slot:
                send(answers, Message())
                while answers.recv(1):
                    _run(slot, tensors, answers, limit_bytes)
        except OSError:
            raise  # nobody is there to hear it
        except (Exception, SystemExit) as error:
            # While it is being leased; those of a run are answered there.
            if not isinstance(error, _AnsweredError):
                send(answers, Message(_fields_of(error)))


class _AnsweredError(InferenceError):
    """A failure that the caller has heard of, and after which the slot is dropped."""


def _run(slot: Slot, tensors: SharedTensors, answers: socket.socket, limit_bytes: int) -> None:
    try:
        for name, array in tensors.inputs.items():
            if slot.inputs[name] is not array:
                slot.inputs[name][...] = array
        outputs = slot.run()
    except BaseException as error:
        answers.sendall(FAILED)
        for part in Message(_fields_of(error)).parts():
            answers.sendall(part)
        if isinstance(error, EdgeVisionError) and not isinstance(error, InferenceError):
            return
        raise _AnsweredError(first_line(error)) from error
    if _fit(outputs, tensors.outputs):
        for name, array in tensors.outputs.items():
            array[...] = outputs[name]
        answers.sendall(DONE if not limit_bytes or _memory_bytes() < limit_bytes else DONE_AND_LARGE)
    else:
        answers.sendall(OTHER_SHAPES)
        for part in Message({}, outputs).parts():
            answers.sendall(part)


def _fit(outputs: Mapping[str, Array], arrays: Mapping[str, Array]) -> bool:
    return outputs.keys() == arrays.keys() and all(
        outputs[name].shape == array.shape and outputs[name].dtype == array.dtype
        for name, array in arrays.items()
    )


@contextmanager
def _leased(session: Session, batch: int, inputs: Mapping[str, Array]) -> Iterator[Slot]:
    if isinstance(session, LeasingSession):
        with session.lease(batch) as slot:
            yield slot
    else:
        yield _UnleasedSlot(session, inputs)


class _UnleasedSlot:
    """A slot for a session that has none: it reads the shared memory itself."""

    def __init__(self, session: Session, inputs: Mapping[str, Array]) -> None:
        self.inputs = inputs
        self._session = session

    def run(self) -> dict[str, Array]:
        return self._session.run(self.inputs)


def _fields_of(error: BaseException) -> dict[str, Any]:
    """An error as JSON values; of one that is not EdgeVision's, its class and first line."""
    if isinstance(error, EdgeVisionError):
        return error_fields(error)
    return error_fields(InferenceError(f"{type(error).__name__}: {first_line(error)}"))


def _memory_bytes() -> int:
    """The most memory that this process has had in use."""
    unit = 1 if sys.platform == "darwin" else 1024
    import resource  # Windows has none

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
