"""Where and when figures were measured."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any


def this_machine() -> dict[str, Any]:
    """Processor, architecture, cores, system, Python."""
    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def processor() -> str:
    """The name of the board, such as ``Raspberry Pi 5 Model B Rev 1.0``, else of the processor."""
    board = _text("/proc/device-tree/model").strip("\0\n ")
    lines = _text("/proc/cpuinfo").splitlines()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return board or (named[0] if named else platform.processor())


@cache
def instruction_sets() -> str:
    """What the kernel lists of the processor's extensions; virtual machines often hide its name."""
    lines = _text("/proc/cpuinfo").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "").partition(":")[2]


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
