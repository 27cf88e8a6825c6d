"""The machine as the operating system describes it, and the memory of this process."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgevision.errors import DeviceError
from edgevision.system.cores import core_numbers, cores
from edgevision.system.reading import read_system_file

_SYSTEM = Path("/sys")


@dataclass(frozen=True)
class Machine:
    """The machine of a measurement.

    Attributes:
        processor: the system's name for the board or the processor.
        cores: number of CPU cores that this process may use.
    """

    processor: str
    cores: int

    @classmethod
    def this(cls) -> Machine:
        """The machine that this process runs on."""
        return cls(processor(), cores())


def this_machine() -> dict[str, Any]:
    """Processor, architecture, cores, operating system and Python, for JSON."""
    import platform

    return {
        "processor": processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def now() -> str:
    """The current time, UTC, ISO 8601."""
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def processor() -> str:
    """The name of the board, such as ``Raspberry Pi 5 Model B Rev 1.0``, else of the processor."""
    board = read_system_file("/proc/device-tree/model").strip("\0\n ")
    lines = read_system_file("/proc/cpuinfo").splitlines()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    if board or named:
        return board or named[0]
    import platform  # not at the top: to run a model, it is rarely needed

    return platform.processor() or platform.machine()


@cache
def instruction_sets() -> str:
    """The processor's instruction set extensions: they tell machines apart where its name is hidden."""
    lines = read_system_file("/proc/cpuinfo").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "").partition(":")[2]


@cache
def has_exact_int8_products() -> bool | None:
    """True if int8 products are summed in 32 bits: by VNNI or AMX on x86-64, always on other processors.

    `None` if the system does not report the processor's instructions.
    """
    import platform

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    found = instruction_sets()
    return ("vnni" in found or "amx_int8" in found) if found else None


def clock_mhz(system: Path = _SYSTEM) -> float | None:
    """The mean clock of all cores in MHz; `None` where the system does not report it."""
    khz = _numbers(system.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return sum(khz) / len(khz) / 1e3 if khz else None


def temperature_c(system: Path = _SYSTEM) -> float | None:
    """The temperature of the warmest sensor in degrees Celsius; `None` where there is none."""
    thousandths = _numbers(system.glob("class/thermal/thermal_zone*/temp"))
    return max(thousandths) / 1e3 if thousandths else None


def busy_seconds() -> float | None:
    """CPU time that all programs have spent so far on the cores that this process may use, in seconds.

    Time that the host of a virtual machine took away counts too. `None` where the system does not report it.
    """
    rows = (line.split() for line in read_system_file("/proc/stat").splitlines())
    ticks = {row[0]: list(map(int, row[1:9])) for row in rows if row and re.fullmatch(r"cpu\d+", row[0])}
    mine = [ticks.get(f"cpu{number}") for number in core_numbers()]
    known = [row for row in mine if row is not None and len(row) == 8]
    if not known:
        return None
    # The fourth and the fifth are idle, and waiting for a disk.
    return sum(sum(row) - row[3] - row[4] for row in known) / os.sysconf("SC_CLK_TCK")


def memory_mb() -> float:
    """The current resident memory of this process, in MB (10**6 bytes).

    Raises:
        DeviceError: the system does not say.
    """
    found = _status_mb("VmRSS")
    if found is None:
        raise DeviceError(f"{sys.platform} does not say how much memory a process uses; measure on Linux")
    return found


def peak_memory_mb() -> float:
    """The peak resident memory of this process, in MB (10**6 bytes).

    Raises:
        DeviceError: the system does not say, as Windows.
    """
    found = _status_mb("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError as error:
        raise DeviceError(
            f"{sys.platform} does not say how much memory a process has used; measure on Linux or macOS"
        ) from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _status_mb(name: str) -> float | None:
    """A size that Linux says of this process, in MB (10**6 bytes); `None` on other systems."""
    lines = read_system_file("/proc/self/status").splitlines()
    sizes = (int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))
    return next(sizes, None)


def _numbers(paths: Iterable[Path]) -> list[int]:
    numbers = []
    for path in paths:
        try:
            numbers.append(int(read_system_file(path)))
        except ValueError:  # a sensor that is listed and does not answer
            continue
    return numbers
