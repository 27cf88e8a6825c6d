"""What the system tells of the machine: its name, clock and temperature, and the process's memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SYSTEM = Path("/sys")


@dataclass(frozen=True)
class Machine:
    """The machine that something was measured on.

    Attributes:
        processor: as the system names it.
        cores: that this process may use.
    """

    processor: str
    cores: int


def this_machine() -> Machine:
    """The machine that this runs on."""
    return Machine(_processor(), len(os.sched_getaffinity(0)))


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


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else platform.processor() or platform.machine()
