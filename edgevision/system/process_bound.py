"""The end of the process and its forks: sessions stop at exit, and are refused in the child of a fork.

Runtimes end badly in three places, and an exit code is lost in each:

- A daemon thread that is inside a native call while Python finalizes is ended by CPython before 3.14 as soon
  as it returns; the unwinding of its stack meets C++ that must not be unwound, and the process aborts.
- The runtimes' own exit handlers destroy what a native call still uses.
- The child of a fork has none of the threads that the runtime started: destroying its objects waits for them
  forever, and so does computing with them. And a lock of the runtime that another thread held while the
  process was forked stays locked in the child: also one of a pool's thread, which works on for some
  milliseconds after the call that it worked for has returned.

Therefore the process ends in this order: threads that Python joins end first, as always; then calls of
daemon threads are refused, and those in progress get `GRACE_S` to return; what is native after that is left
as it is. A fork waits as long for calls in progress, and until the runtimes' threads are asleep; the child
uses nothing of its parent's.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Protocol
from weakref import WeakSet

from edgevision.errors import ForkedSessionError

#: Seconds for calls in progress when the process ends or is forked.
GRACE_S = 1.0
_LOOK_S = 0.002
#: Modules in which a thread waits in C code that holds nothing native: such a thread may stay as it is.
_WAITING = ("threading", "queue", "selectors", "subprocess", "socket", "concurrent", "multiprocessing")
#: From here on a daemon thread that meets the end of Python stays where it is, as Python documents.
_THREADS_STAY = (3, 14)


class ProcessBound(Protocol):
    """Something with native threads or calls, such as a session. Known here weakly."""

    def end(self) -> None:
        """Refuse calls of all threads but the calling one, which ends the process."""
        ...

    def pause(self) -> None:
        """Let further calls begin with `wait_for_fork`, until `resume`."""
        ...

    def resume(self) -> None:
        """As before `pause`."""
        ...

    def leave_to_parent(self) -> None:
        """In the child of a fork: refuse all calls, and destroy nothing."""
        ...


class _Process:
    """State of this process: its members, its end, and its forks.

    Attributes:
        members, kinds: what was bound.
        ending_thread: the identifier of the thread that ends it, once it does.
        deadline: until when calls in progress are waited for, on the monotonic clock.
        fork: held while the process is forked.
        busy_at_fork: whether a call was in progress, or a runtime's thread awake, nevertheless.
        foreign: identifiers of the threads that were there before the first runtime was loaded.
        inherited: objects of the parent, in the child of a fork.
    """

    def __init__(self) -> None:
        self.members: WeakSet[ProcessBound] = WeakSet()
        self.kinds: set[Hashable] = set()
        self.ending_thread: int | None = None
        self.deadline = 0.0
        self.fork = threading.RLock()
        self.busy_at_fork = False
        self.foreign: set[str] | None = None
        self.inherited: list[object] = []


_process = _Process()


def bind_to_process(member: ProcessBound, kind: Hashable) -> None:
    """Stop `member` when the process ends, and refuse it in the child of a fork.

    Args:
        member: the object; it may disappear at any time.
        kind: such as the name of its backend.
    """
    _process.members.add(member)
    if kind not in _process.kinds:
        # Python runs exit handlers in reverse order: after the first object of each runtime this one is
        # registered anew, so that it precedes what the runtime registered when it was imported.
        _process.kinds.add(kind)
        atexit.unregister(_end_before_runtimes)
        atexit.register(_end_before_runtimes)


def check_can_open(kind: Hashable) -> None:
    """Wait while the process is forked.

    Args:
        kind: as in `bind_to_process`.

    Raises:
        ForkedSessionError: this process was forked while its parent was inside a native call of this kind.
    """
    wait_for_fork()
    if _process.foreign is None:
        _process.foreign = _threads()
    if _process.inherited and _process.busy_at_fork and kind in _process.kinds:
        raise ForkedSessionError(
            f"this process was forked while '{kind}' was in use, and cannot load a model with it: locks of "
            'the runtime may stay held; start processes with multiprocessing.get_context("spawn")'
        )


def wait_for_fork() -> None:
    """Return once no fork is in progress."""
    with _process.fork:
        pass


def release(member: ProcessBound) -> None:
    """Forget a member whose native parts are gone."""
    _process.members.discard(member)


def ends_in_another_thread() -> bool:
    """Return whether the process is ending, by another thread than the calling one."""
    return _process.ending_thread not in (None, threading.get_ident())


def before_threads_are_joined(stop: Callable[[], object]) -> None:
    """Call `stop` when the main thread has ended, before Python waits for threads that are no daemons."""
    # What concurrent.futures registers itself with, to end its own threads; there is no public way.
    with suppress(RuntimeError):  # the main thread has ended already
        threading._register_atexit(stop)  # type: ignore[attr-defined]


def _end() -> None:
    """Stop all members, and let the process end with its own exit code whatever native calls do."""
    if _process.ending_thread is None:
        _process.ending_thread = threading.get_ident()
        _process.deadline = time.monotonic() + GRACE_S
    for member in list(_process.members):
        member.end()
    busy = _are_threads_inside(_process.deadline)
    if len(sys._current_frames()) > 1 and sys.version_info < _THREADS_STAY:
        _keep_ended_threads_from_aborting()
    if busy or _process.inherited:
        _leave_native_code_as_it_is()


def _end_before_runtimes() -> None:
    _end()


def _are_threads_inside(deadline: float) -> bool:
    """Return whether other threads are still in calls of EdgeVision or a plugin when the time is over."""
    own = threading.get_ident()
    while any(ident != own and _is_inside(frame) for ident, frame in sys._current_frames().items()):
        if time.monotonic() >= deadline:
            return True
        time.sleep(_LOOK_S)
    return False


def _are_pools_awake(deadline: float) -> bool:
    """Return whether threads of the runtimes are still awake when the time is over.

    A thread that sleeps holds no lock that it will not wait for. Python's own threads are left out: they are
    awake in the caller's work, and not inside a call. Only Linux tells; elsewhere the answer is no.
    """
    before: dict[str, bytes] = {}
    while True:
        own = {str(thread.native_id) for thread in threading.enumerate()}
        now = {thread: _sleep(thread) for thread in _threads() - own - (_process.foreign or set())}
        # A thread with the same number of switches at both looks slept from one to the other: between the
        # looks all of them were asleep at once, and none is left that would wake another.
        if all(now.values()) and (now == before or not now):
            return False
        if time.monotonic() >= deadline:
            return True
        before = now
        time.sleep(_LOOK_S)


def _threads() -> set[str]:
    """Identifiers of all threads of this process, also of those that Python does not know."""
    try:
        return {thread.name for thread in Path("/proc/self/task").iterdir()}
    except OSError:
        return set()


def _sleep(thread: str) -> bytes:
    """A mark of the present sleep of a thread: how often it was switched; empty if it is awake."""
    try:
        status = Path(f"/proc/self/task/{thread}/status").read_bytes()
    except OSError:  # it has ended since it was listed
        return b"ended"
    return status.partition(b"voluntary_ctxt_switches:")[2] if b"\nState:\tS" in status else b""


def _is_inside(frame: FrameType | None) -> bool:
    if frame is not None and (_package(frame) in _WAITING or frame.f_globals.get("__name__") == __name__):
        return False
    while frame is not None:
        if _package(frame).startswith("edgevision"):
            return True
        frame = frame.f_back
    return False


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _keep_ended_threads_from_aborting() -> None:
    """Let a daemon thread that cannot be unwound wait for the end of the process, as in Python 3.14.

    That is any thread of the caller's, too. Where a library catches everything, such as OpenCV now and then,
    glibc ends the process with SIGABRT before this is asked; Python 3.14 has no such threads.
    """
    libc, cxx = _library(None), _library("libstdc++.so.6")
    if libc is not None and cxx is not None:
        import ctypes

        # std::set_terminate(pause): what would abort the process waits instead, in that thread alone.
        cxx._ZSt13set_terminatePFvvE(ctypes.cast(libc.pause, ctypes.c_void_p))


def _leave_native_code_as_it_is() -> None:
    """Let the process end, with its exit code, without the exit handlers of C and C++ libraries.

    Python's own end is as always: exit handlers that are still to come run, and its streams are flushed.
    """
    libc = _library(None)
    if libc is not None and hasattr(libc, "on_exit"):  # glibc's
        libc.fflush(None)
        # on_exit(_exit): the handler that is registered last runs first, and receives the exit code.
        libc.on_exit(libc._exit, None)


def _library(name: str | None) -> Any:
    """A library that is loaded already; `None` if it is not."""
    if os.name != "posix":
        return None
    import ctypes

    try:
        return ctypes.CDLL(name, mode=getattr(os, "RTLD_NOLOAD", 0) | ctypes.DEFAULT_MODE)
    except OSError:
        return None


def _before_fork() -> None:
    """Fork while no native call is in progress: its locks would be held in the child forever."""
    _process.fork.acquire()
    members = list(_process.members)
    for member in members:
        member.pause()
    deadline = time.monotonic() + GRACE_S
    _process.busy_at_fork = bool(_process.kinds) and (
        _are_threads_inside(deadline) or _are_pools_awake(deadline)
    )


def _in_parent() -> None:
    for member in list(_process.members):
        member.resume()
    _process.fork.release()


def _in_child() -> None:
    """Refuse what belongs to the parent, and never destroy it."""
    _process.fork.release()
    members = list(_process.members)
    _process.members.clear()
    _process.ending_thread = None
    _process.foreign = None
    if not members:
        return
    import ctypes

    for member in members:
        member.leave_to_parent()
        # Not only in a list, which would be emptied when Python ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(member))
    _process.inherited.extend(members)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
