"""Instructions of the processor that int8 networks need."""

from __future__ import annotations

import platform
from functools import cache

from edgevision.system.reading import read_system_file


@cache
def has_exact_int8_products() -> bool:
    """Return whether int8 products are summed in 32 bits: by VNNI or AMX on x86-64, always elsewhere.

    Also true if the system does not report the processor's instructions.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    lines = read_system_file("/proc/cpuinfo").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not flags or "vnni" in flags or "amx_int8" in flags
