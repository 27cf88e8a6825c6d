"""Limits of a child process: what it may take before the system ends it, and not its parent."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from edgevision.system.cores import cores

#: Share of the machine's memory that a child may fill with data of its own.
_MEMORY_SHARE = 0.8
#: Of the out-of-memory killer: the process with the highest goes first.
_FIRST_TO_GO = b"1000"


def limit_this_process(seconds: float) -> None:
    """Limit the CPU time and the memory of this process from now on, where the system can.

    The CPU limit is what all cores can do in the time: it ends a child whose parent died while a native call
    kept it from noticing. Memory is counted without what is only reserved or mapped from files, since the
    drivers of GPUs reserve far more than there is.

    Args:
        seconds: of wall time that the parent waits.
    """
    give_way()
    try:
        import resource
    except ImportError:  # not on Windows
        return
    cpu_s = int(seconds * cores()) + int(sum(os.times()[:2])) + 1
    memory = int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _MEMORY_SHARE)
    for kind, most in {resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_DATA: memory}.items():
        with suppress(OSError, ValueError):  # a lower limit is set already
            resource.setrlimit(kind, (most, most))


def give_way() -> None:
    """Let this process be ended before others where the machine's memory is short, without a core dump."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_FIRST_TO_GO)
    with suppress(ImportError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_open_files(most: int) -> None:
    """Let this process, and those that it starts, have so many files open at once, where the system can."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    with suppress(OSError, ValueError):  # a lower limit is set already
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
