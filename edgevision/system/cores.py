"""The CPU cores available to this process."""

from __future__ import annotations

import os


def cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(core_numbers())


def core_numbers() -> frozenset[int]:
    """The numbers by which the system knows the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))  # macOS and Windows have no such call
