"""Facts about this machine and its software that earlier results depend on, and the folder beside a bundle.

Results are kept in the user's cache. Those that `edgevision install` kept beside a bundle count as well, for
devices that cannot write.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from edgevision._version import __version__
from edgevision.system.cache_folder import file_facts
from edgevision.system.entry_points import installed_packages
from edgevision.system.machine import instruction_sets, processor

#: Suffix of the folder beside an installed bundle.
_BESIDE_SUFFIX = ".kept"

#: Where the kernel lists GPUs and NPUs, and how their names begin: a new one may change the choice by the
#: bundle's order.
_DEVICE_NODES = {"/dev": ("nvidia", "nvmap"), "/dev/dri": ("renderD",), "/dev/accel": ("accel",)}
_NVIDIA_VERSION = "/sys/module/nvidia/version"
#: Changes with every shared library that is installed, such as the user's side of a driver.
_LIBRARIES = "/etc/ld.so.cache"


def folder_beside(bundle: Path) -> Path:
    """The folder beside an installed bundle with what was found out about it on this device."""
    return bundle.with_suffix(_BESIDE_SUFFIX)


def machine_facts() -> list[object]:
    """Values that change with the processor, its devices, and every installed package, for JSON.

    The runtimes are not asked for their versions, because that would import all of them to run one.
    """
    return [
        __version__,
        list(sys.version_info[:3]),
        processor(),
        instruction_sets(),
        _devices(),
        installed_packages(),
    ]


def _devices() -> list[object]:
    """GPUs and NPUs with the versions of their drivers; empty for a machine with a CPU alone."""
    nodes: list[object] = []
    for folder, beginnings in _DEVICE_NODES.items():
        with suppress(OSError):  # most machines have no such folder
            names = sorted(path.name for path in Path(folder).iterdir())
            nodes += [f"{folder}/{name}" for name in names if name.startswith(beginnings)]
    if not nodes:
        return nodes
    from edgevision.system.reading import read_system_file

    # Other drivers than NVIDIA's come with the kernel.
    return [*nodes, os.uname().release, read_system_file(_NVIDIA_VERSION), file_facts(Path(_LIBRARIES))]
