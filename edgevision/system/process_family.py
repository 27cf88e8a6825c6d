"""A process and all processes that it starts: their memory, their processor time, and their end.

They share a mark in their environments, which a process inherits whoever its parent is and whatever session
or group it is in; one that is started with other variables leaves the family. The system shows all of this
under ``/proc``; where there is none, as on macOS, a family appears to have no members.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from edgevision.system.reading import read_system_file

_VARIABLE = "EDGEVISION_PROCESS_FAMILY"
#: Seconds between two searches for members; between them, the known ones are asked.
_SECONDS_BETWEEN_SEARCHES = 1.0
#: Searches until no member is left: one may start another while it is being killed.
_MOST_SEARCHES = 20
#: Places in ``/proc/PID/stat`` after the name of the program: user and system time, in ticks.
_USER_TICKS, _SYSTEM_TICKS = 11, 12
_PR_SET_PDEATHSIG = 1


class ProcessFamily:
    """The processes that are started with `environment`, and theirs."""

    def __init__(self) -> None:
        self._mark = f"{_VARIABLE}={os.getpid()}-{os.urandom(8).hex()}"
        self._known: tuple[int, ...] = ()
        self._next_search = 0.0

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that make a process a member."""
        name, _, value = self._mark.partition("=")
        return {name: value}

    def resident_bytes(self) -> int:
        """Memory that the members have in use; what several share counts for each."""
        pages = sum(sum(_numbers(f"/proc/{pid}/statm")[1:2]) for pid in self._members())
        return pages * os.sysconf("SC_PAGE_SIZE") if pages else 0

    def processor_seconds(self) -> float:
        """Processor time of the living members, of all their threads."""
        return sum(map(processor_seconds, self._members()))

    def kill(self) -> None:
        """Kill every member, and wait until none is left."""
        for _ in range(_MOST_SEARCHES):
            members = list(self._search())
            if not members:
                return
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _members(self) -> tuple[int, ...]:
        if time.monotonic() >= self._next_search:
            self._known = tuple(self._search())
            self._next_search = time.monotonic() + _SECONDS_BETWEEN_SEARCHES
        return self._known

    def _search(self) -> Iterator[int]:
        mark = f"{self._mark}\0"
        for entry in Path("/proc").glob("[0-9]*"):
            # A member that has ended, and that its parent has not asked for yet, has no environment.
            if mark in f"{read_system_file(entry / 'environ')}\0":
                yield int(entry.name)


def is_member() -> bool:
    """True in a process that was started into a family, where none of the caller's own code runs."""
    return _VARIABLE in os.environ


def processor_seconds(pid: int) -> float:
    """Processor time of a process, of all its threads; 0 if it has ended, or the system does not say."""
    times = read_system_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(times) <= _SYSTEM_TICKS:
        return 0.0
    return (int(times[_USER_TICKS]) + int(times[_SYSTEM_TICKS])) / os.sysconf("SC_CLK_TCK")


def end_with_parent() -> None:
    """Let the system kill this process when the thread that started it ends, as far as it can (Linux).

    A process in the middle of native code may not notice by itself that nobody waits for it any more.
    """
    if sys.platform != "linux":
        return
    import ctypes  # not needed to run a model

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def _numbers(path: str) -> list[int]:
    return [int(word) for word in read_system_file(path).split()]
