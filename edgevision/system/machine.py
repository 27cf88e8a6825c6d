"""The machine, as the system describes it: its name, clock and temperature, and this process's memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from edgevision.system.cores import cores

_SYSTEM = Path("/sys")


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement.

    Attributes:
        processor: as the system names it.
        cores: that this process may use.
    """

    processor: str
    cores: int

    @classmethod
    def this(cls) -> Machine:
        """The machine that this process runs on."""
        return cls(processor(), cores())


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
    return board or (named[0] if named else platform.processor() or platform.machine())


@cache
def instruction_sets() -> str:
    """What the kernel lists of the processor's extensions; virtual machines often hide its name."""
    lines = _text("/proc/cpuinfo").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "").partition(":")[2]


def clock_mhz(system: Path = _SYSTEM) -> float | None:
    """The mean clock of all cores in MHz; `None` where the system does not tell."""
    khz = _numbers(system.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return sum(khz) / len(khz) / 1e3 if khz else None


def temperature_c(system: Path = _SYSTEM) -> float | None:
    """The warmest sensor in degrees Celsius; `None` where the system does not tell."""
    thousandths = _numbers(system.glob("class/thermal/thermal_zone*/temp"))
    return max(thousandths) / 1e3 if thousandths else None


def memory_mb() -> float:
    """The process's resident memory now, in MB (10**6 bytes)."""
    return _status("VmRSS")


def peak_memory_mb() -> float:
    """The largest resident memory that the process ever had, in MB (10**6 bytes)."""
    return _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6


def _numbers(paths: Iterable[Path]) -> list[int]:
    found = []
    for path in paths:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # a sensor that is there and does not answer
            continue
    return found


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
