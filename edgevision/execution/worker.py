"""A child process that does what could kill, hang or mislead the process that asks for it.

Everything that needs a process of its own uses it: the first load of a new artifact, run costs, and what
must be isolated. `Worker.ask` sends a `Message` to a function of an installed module, and returns its
answer; whatever happens to the child, the caller gets an answer or an `EdgeVisionError`.

The child is a new interpreter, as `edgevision.system.interpreter` starts it.

A plugin that is registered in the calling process only does not exist in the child: see `Worker.ask`.
"""

from __future__ import annotations

import io
import os
import queue
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import IO, Any, BinaryIO, Protocol

from edgevision import errors
from edgevision.errors import EdgeVisionError, InferenceError, ProcessError, first_line
from edgevision.execution.messages import Message, incoming
from edgevision.system.interpreter import interpreter_command

#: A function that a worker runs: from a request to its answer.
Job = Callable[[Message], Message]

#: The most bytes of the arrays of one answer.
MOST_ANSWER_BYTES = 2_000_000_000
#: Bytes of stderr that are kept: the last ones tell why a process ended.
_STDERR_TAIL = 8192
_STDERR_LINES = 3
_CHUNK = 1 << 20
#: Lines that TensorFlow and LiteRT always write: remarks at their start, in the form of their log.
_REMARK = re.compile(r"[IW]\d{4} |INFO: |WARNING: All log messages before absl")
#: Seconds that an ending child has until its exit status is there.
_SECONDS_TO_END = 5.0
#: Seconds between two looks of a `Supervisor` at the child.
_SECONDS_BETWEEN_LOOKS = 0.1


class Supervisor(Protocol):
    """Follows a job while it runs. What its methods raise reaches the caller of `Worker.ask`.

    The child is killed first.
    """

    def heard(self, report: Message) -> None:
        """Receive what the job sent with `report`."""
        ...

    def printed(self, text: bytes) -> None:
        """Receive what the child wrote to its stdout or stderr."""
        ...

    def look(self, pid: int) -> None:
        """Check the child; called some ten times a second, and never after it has answered."""
        ...


class Worker:
    """A child process that runs jobs, one at a time. May be shared between threads.

    The child starts with the first job, stays for the next ones, and is replaced after it died or timed out.
    It ends with `close`, with the caller's process, and with an interruption of the caller (Ctrl-C).

    Args:
        most_answer_bytes: the most bytes of the arrays of one answer.
        keeps_state: True if jobs rely on what earlier ones left in the child: then a child that ended between
            two jobs is an error, and not replaced in silence.
        environment: variables of the child, beside those of this process.
    """

    def __init__(
        self,
        most_answer_bytes: int = MOST_ANSWER_BYTES,
        keeps_state: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._most_answer_bytes = most_answer_bytes
        self._keeps_state = keeps_state
        self._environment = dict(environment or {})
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(
        self,
        job: Job | str,
        request: Message,
        *,
        what: str,
        timeout_s: float,
        supervisor: Supervisor | None = None,
    ) -> Message:
        """Run a job in the child, and return its answer.

        Args:
            job: a function of an installed module, at its top level; or the names of both as
                ``module:function``, for one that this process need not import.
            request: its argument.
            what: what is done, for errors, such as ``tflite-int8 on tflite cpu``.
            timeout_s: seconds after which the child is killed; its start counts. `math.inf` for none.
            supervisor: follows the job, and may end it.

        Raises:
            ProcessError: the child was killed by a signal, exited, or timed out; says which, and what it
                wrote to stderr last.
            InferenceError: the job raised an exception that is not EdgeVision's.
            PluginError: the child has no such plugin: among others, one that is registered in the calling
                process only. The caller decides whether to do the job itself.
            EdgeVisionError: what the job raised.
        """
        with self._lock:
            try:
                answer = self._exchange(job, request, what, timeout_s, supervisor)
            except BaseException:  # Ctrl-C too: the child is in the middle of something
                self._kill()
                raise
        if "error" in answer.fields:
            raise _error(answer.fields, what)
        fields = answer.fields.get("answer")
        if not isinstance(fields, dict):
            raise ProcessError(f"{what}: no answer came from a process of its own")
        return Message(fields, answer.arrays)

    def close(self) -> None:
        """End the child. May be called twice; a later job starts a new one."""
        with self._lock:
            self._kill()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(
        self, job: Job | str, request: Message, what: str, timeout_s: float, supervisor: Supervisor | None
    ) -> Message:
        deadline = time.monotonic() + timeout_s
        if self._process is not None and self._process.poll() is not None and not self._keeps_state:
            self._kill()
        if self._process is None:
            self._process = _start(self._environment)
        process = self._process
        name = job if isinstance(job, str) else f"{job.__module__}:{job.__qualname__}"
        named = {"job": name, "fields": dict(request.fields)}
        outgoing = Message(named, request.arrays).parts()
        stderr = bytearray()
        transfer = _Transfer(process, outgoing, self._most_answer_bytes, stderr, supervisor)
        answer = transfer.run(deadline)
        if answer is not None:
            return answer
        timed_out = time.monotonic() >= deadline
        reason = f"timed out after {timeout_s:g} s" if timed_out else end_in_words(process)
        raise ProcessError(f"{what}: {reason} in a process of its own{_last_lines(stderr)}")

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            # The child leads a process group, so that its own children end with it.
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                _close(pipe)


def serve() -> None:
    """Run the jobs that arrive on stdin, and write their answers to stdout: the child's main program.

    Libraries print to stdout, so its descriptor becomes that of stderr, and answers go to a copy of it.
    """
    global _answers  # noqa: PLW0603 - the pipe of the process, which `report` writes to from anywhere
    requests = io.BufferedReader(io.FileIO(os.dup(0), "rb"))
    _answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    arrived: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, arrived), daemon=True).start()
    while True:
        _write(_answer(arrived.get()))


def report(message: Message) -> None:
    """Send a message to the supervisor of the job that runs in this process, from any thread of it."""
    _write(Message({"report": dict(message.fields)}, message.arrays))


_answers: BinaryIO | None = None
_writing = threading.Lock()


def _write(message: Message) -> None:
    if _answers is None:
        raise RuntimeError("this process is not a worker")
    with _writing:
        for part in message.parts():
            _answers.write(part)
        _answers.flush()


def _receive(pipe: io.BufferedReader, arrived: queue.SimpleQueue[Message]) -> None:
    """Read requests until the pipe ends: then the parent is gone, and a job in progress is of no use.

    Where a request cannot be read, the child ends and its parent hears why: what follows in the pipe has no
    meaning, and an answer would be waited for in vain.
    """
    try:
        while (request := _read(pipe)) is not None:
            arrived.put(request)
    except BaseException as error:
        reason = f"the request cannot be read: {type(error).__name__}: {first_line(error)}\n"
        os.write(2, reason.encode("utf-8", "backslashreplace"))
        os._exit(1)
    os._exit(0)


def _read(pipe: io.BufferedReader) -> Message | None:
    """The next request; `None` at the pipe's end."""
    reader = incoming(sys.maxsize)
    wanted = next(reader)
    while not isinstance(wanted, Message):
        content = bytearray(wanted)
        view = memoryview(content)
        while view and (read := pipe.readinto(view)):
            view = view[read:]
        if view:
            return None
        wanted = reader.send(content)
    return wanted


def _answer(request: Message) -> Message:
    module, _, name = request.fields["job"].partition(":")
    try:
        job = getattr(import_module(module), name)
        answer: Message = job(Message(request.fields["fields"], request.arrays))
        return Message({"answer": dict(answer.fields)}, answer.arrays)
    except EdgeVisionError as error:
        return Message(error_fields(error))
    except (Exception, SystemExit) as error:
        return Message({"error": "", "message": f"{type(error).__name__}: {first_line(error)}"})


def error_fields(error: EdgeVisionError) -> dict[str, Any]:
    """An error as the fields of a message: its class, or the nearest one of the tree, and what it carries."""
    known = next(kind.__name__ for kind in type(error).__mro__ if vars(errors).get(kind.__name__) is kind)
    carried = {name: value for name, value in vars(error).items() if isinstance(value, (str, list, tuple))}
    return {"error": known, "message": str(error), "carried": carried}


def error_of(fields: Mapping[str, Any]) -> EdgeVisionError:
    """The error that `error_fields` describes.

    Args:
        fields: from another process, which may have been taken over.
    """
    kind = getattr(errors, str(fields["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, EdgeVisionError)):
        kind = InferenceError
    error: EdgeVisionError = kind.__new__(kind)
    Exception.__init__(error, str(fields.get("message")))
    carried = fields.get("carried")
    for name, value in carried.items() if isinstance(carried, dict) else ():
        if not hasattr(kind, str(name)):  # its exit code is that of its class
            vars(error)[str(name)] = tuple(value) if isinstance(value, list) else value
    return error


def _error(fields: Any, what: str) -> EdgeVisionError:
    """The error that a job raised."""
    if not fields["error"]:
        return InferenceError(f"{what}: {fields.get('message')} (in a process of its own)")
    return error_of(fields)


def _start(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            interpreter_command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **environment},
            # Ctrl-C on a terminal goes to the parent alone, which ends the child.
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"{sys.executable}: cannot be started: {error.strerror or error}") from error


class _Transfer:
    """Sends a request and receives reports and the answer, all at once so that neither side waits.

    Args:
        process: the child.
        outgoing: the request.
        most_bytes: the most bytes of the arrays of a report or the answer.
        stderr: receives the end of what the child writes to stderr.
        supervisor: receives the reports, and looks at the child now and then.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        outgoing: Iterator[bytes | memoryview],
        most_bytes: int,
        stderr: bytearray,
        supervisor: Supervisor | None,
    ) -> None:
        assert process.stdin is not None  # noqa: S101 (it is a pipe, and so are the others)
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self._process = process
        self._stdin, self._stdout, self._stderr_pipe = process.stdin, process.stdout, process.stderr
        self._outgoing = outgoing
        self._to_send: memoryview | None = memoryview(next(outgoing))
        self._most_bytes = most_bytes
        self._stderr = stderr
        self._supervisor = supervisor
        self._begin_message()

    def run(self, deadline: float) -> Message | None:
        """The answer; `None` if the child ended, or the deadline passed.

        Args:
            deadline: on the monotonic clock, in seconds.
        """
        longest_wait = _SECONDS_TO_END if self._supervisor is None else _SECONDS_BETWEEN_LOOKS
        next_look = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            selector.register(self._stderr_pipe, selectors.EVENT_READ)
            os.set_blocking(self._stdin.fileno(), False)
            while (left := deadline - time.monotonic()) > 0:
                ready = selector.select(min(left, longest_wait))
                if not ready and self._process.poll() is not None:
                    return None  # a child of its own holds its pipes open
                for key, _ in ready:
                    if key.fileobj is self._stderr_pipe:
                        if not (text := os.read(key.fd, _CHUNK)):
                            selector.unregister(self._stderr_pipe)
                        self._keep(text)
                    elif key.fileobj is self._stdin:
                        self._to_send = _send(key.fd, self._to_send, self._outgoing)
                        if self._to_send is None:
                            selector.unregister(self._stdin)
                    elif not (part := os.read(key.fd, min(self._wanted - len(self._received), _CHUNK))):
                        self._drain()
                        return None
                    elif (answer := self._receive(part)) is not None:
                        return answer
                if self._supervisor is not None and time.monotonic() >= next_look:
                    self._supervisor.look(self._process.pid)
                    next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        return None

    def _begin_message(self) -> None:
        self._reader: Generator[int | Message, Any, None] = incoming(self._most_bytes)
        self._received, wanted = bytearray(), next(self._reader)
        assert isinstance(wanted, int)  # noqa: S101
        self._wanted = wanted

    def _receive(self, part: bytes) -> Message | None:
        """The answer, if this part ends it; a report goes to the supervisor."""
        self._received += part
        if len(self._received) < self._wanted:
            return None
        following = self._reader.send(self._received)
        if isinstance(following, int):
            self._received, self._wanted = bytearray(), following
            return None
        if "report" not in following.fields:
            return following
        self._begin_message()
        if self._supervisor is not None:
            self._supervisor.heard(Message(following.fields["report"], following.arrays))
        return None

    def _keep(self, text: bytes) -> None:
        self._stderr += text
        del self._stderr[:-_STDERR_TAIL]
        if self._supervisor is not None and text:
            self._supervisor.printed(text)

    def _drain(self) -> None:
        """Read what an ended child left on stderr, without waiting for its children that hold it open."""
        os.set_blocking(self._stderr_pipe.fileno(), False)
        with suppress(BlockingIOError):
            while text := os.read(self._stderr_pipe.fileno(), _CHUNK):
                self._keep(text)


def _send(descriptor: int, part: memoryview | None, rest: Iterator[bytes | memoryview]) -> memoryview | None:
    """Write what the pipe takes; return what is left to send, `None` if that is nothing."""
    while part is not None and not part:
        following = next(rest, None)
        part = None if following is None else memoryview(following)
    if part is None:
        return None
    try:
        return part[os.write(descriptor, part[:_CHUNK]) :]
    except BlockingIOError:
        return part
    except BrokenPipeError:  # the child has ended; the end of its stdout says so
        return None


def _close(pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        pipe.close()


def end_in_words(process: subprocess.Popen[bytes], seconds: float = _SECONDS_TO_END) -> str:
    """How a child ended that closed its pipe.

    Args:
        process: the child.
        seconds: how long its exit status is waited for.
    """
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return "closed its pipe and did not end"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"killed by {name}" + (" (out of memory?)" if -status == signal.SIGKILL else "")


def _last_lines(stderr: bytearray) -> str:
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    lines = [line for line in lines if not _REMARK.match(line)]
    return "".join(f": {' | '.join(line[:200] for line in lines[-_STDERR_LINES:])}" for _ in lines[:1])
