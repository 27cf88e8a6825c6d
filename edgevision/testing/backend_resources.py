"""Rules for backends about what they take from the machine: memory, descriptors, threads and CPU time."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edgevision.errors import DeviceError, OptionError
from edgevision.session import CheckedSession
from edgevision.testing.backend_case import BackendCase, run_leased

#: Calls after which growth is measured, and those before, which fill pools and caches.
_CALLS, _WARM_UP = 200, 40
#: Sessions that are opened and closed.
_OPENED = 6
#: What may be kept: bytes that the allocator explains, and what a runtime has for all of its sessions.
_MOST = {"bytes of memory": 6_000_000, "descriptors": 3, "threads": 3}
#: CPU time per wall time of calls with one thread: more is more threads.
_MOST_CPU = 1.5
_CPU_SECONDS = 0.5
#: A thread is busy that took this share of the busiest one's CPU time: the caller's and one of the runtime's.
_BUSY, _MOST_BUSY = 0.4, 2


def check_growth(case: BackendCase) -> None:
    """Memory, descriptors and threads do not grow over 200 calls, by run and by lease."""
    with case.open() as session:
        inputs = case.inputs(session, 1)
        for name, run in (("run", CheckedSession.run), ("lease", run_leased)):
            for _ in range(_WARM_UP):
                run(session, inputs)
            before = _taken()
            for _ in range(_CALLS):
                run(session, inputs)
            _check_kept(case, f"{_CALLS} calls of {name}", before, _taken())


def check_reopened(case: BackendCase) -> None:
    """A closed session gives back its memory, descriptors and threads."""
    for _ in range(2):
        _use_once(case)
    before = _taken()
    for _ in range(_OPENED):
        _use_once(case)
    _check_kept(case, f"{_OPENED} sessions that were opened and closed", before, _taken())


def check_cpu_time(case: BackendCase) -> None:
    """With threads=1, a call takes the CPU time of one thread."""
    if not case.device.startswith("cpu"):
        return
    try:
        session = case.open(threads=1)
    except (OptionError, DeviceError):
        return  # it says that it has none to set
    with session:
        inputs = case.inputs(session, 1)
        session.run(inputs)
        start, cpu, before = time.perf_counter(), time.process_time(), _cpu_of_threads()
        while time.process_time() - cpu < _CPU_SECONDS:
            session.run(inputs)
        share = (time.process_time() - cpu) / (time.perf_counter() - start)
        used = sorted(
            (ticks - before.get(name, 0) for name, ticks in _cpu_of_threads().items()), reverse=True
        )
    # Where other programs take the CPU, threads that compute at once show in their own times alone.
    busy = sum(ticks > _BUSY * used[0] for ticks in used) if used else 1
    case.expect(
        share <= _MOST_CPU and busy <= _MOST_BUSY,
        f"with threads=1, the calls took {share:.1f} times their wall time of the CPU, in {busy} threads; "
        "pass `settings.threads` to the runtime, or raise OptionError",
    )


def _cpu_of_threads() -> dict[str, int]:
    """Thread -> clock ticks of the CPU that it took; empty where the system does not tell."""
    if sys.platform != "linux":
        return {}
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            found[task.name] = int(fields[11]) + int(fields[12])
    return found


def _use_once(case: BackendCase) -> None:
    with case.open() as session:
        session.run(case.inputs(session, 1))


def _check_kept(case: BackendCase, what: str, before: dict[str, int], after: dict[str, int]) -> None:
    for name, most in _MOST.items():
        grown = after.get(name, 0) - before.get(name, 0)
        case.expect(
            grown <= most,
            f"{what} kept {grown} {name} (allowed: {most}); release them with the call or `close`",
        )


def _taken() -> dict[str, int]:
    """Memory, descriptors and threads of this process; empty where the system does not tell."""
    gc.collect()
    if sys.platform != "linux":
        return {}
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "bytes of memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "threads": len(os.listdir("/proc/self/task")),  # noqa: PTH208
    }


RESOURCE_RULES: tuple[Callable[[BackendCase], None], ...] = (check_growth, check_reopened, check_cpu_time)
