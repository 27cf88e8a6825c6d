"""Keeps the fastest configuration on disk: one small JSON file per bundle, machine and set of versions.

A cache that cannot be read or written is not an error: the configurations are measured again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevision._version import __version__
from edgevision.backend import SessionSettings
from edgevision.bundle.storage import Bundle
from edgevision.errors import OutputError
from edgevision.loading.configurations import Configuration
from edgevision.system.cores import cores
from edgevision.system.entry_points import installed_packages
from edgevision.system.files import make_folder, write_file
from edgevision.system.machine import instruction_sets, processor
from edgevision.system.reading import read_file
from edgevision.system.strict_json import read_json

CACHE_VARIABLE = "EDGEVISION_CACHE"

_log = logging.getLogger("edgevision")
_LARGEST_BYTES = 1_000_000
#: Where the kernel lists GPUs and NPUs: a new one may change the choice by the bundle's order.
_DEVICE_NODES = ("nvidia[0-9]*", "nvmap", "dri/renderD*", "accel/accel*")


def tuning_file(bundle: Bundle, settings: SessionSettings, possible: Sequence[Configuration]) -> Path | None:
    """The file that keeps the choice for a bundle; `None` where there is no home folder.

    Its name is a digest of all that the choice depends on: the bundle, the requested settings, the
    configurations, the machine, and every installed package. The runtimes are not asked for their
    versions, because that would import all of them to run one.
    """
    folder = _cache_folder()
    if folder is None:
        return None
    facts = [
        __version__,
        bundle.digest,
        settings.device,
        settings.precision,
        settings.threads,
        [(*one.pair, one.threads) for one in possible],
        processor(),
        instruction_sets(),
        cores(),
        [str(path) for pattern in _DEVICE_NODES for path in sorted(Path("/dev").glob(pattern))],
        installed_packages(),
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return folder / "tuning" / f"{digest}.json"


def read_choice(file: Path | None, possible: Sequence[Configuration]) -> Configuration | None:
    """The configuration in a file of `write_choice`; `None` if there is none, or it is not `possible`."""
    try:
        if file is None:
            return None
        document = read_json(read_file(file, _LARGEST_BYTES))
        pair, threads = (document["artifact"], document["backend"]), document["threads"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.info("%s: ignored, and written again: %s", file, error)
        return None
    if type(threads) is not int or not 1 <= threads <= max(one.threads for one in possible):
        return None
    entries = [one.entry for one in possible if one.pair == pair]
    return Configuration(entries[0], pair[1], threads) if entries else None


def write_choice(file: Path | None, chosen: Configuration, bundle: Bundle, reason: str) -> bool:
    """Keep a choice, to be read by `read_choice`.

    Args:
        file: as returned by `tuning_file`.
        chosen: the configuration.
        bundle, reason: for people who open the file.

    Returns:
        True if it was written.
    """
    if file is None:
        return False
    artifact, backend = chosen.pair
    document: dict[str, Any] = {"artifact": artifact, "backend": backend, "threads": chosen.threads}
    document |= {"bundle": str(bundle.path), "because": reason}
    try:
        make_folder(file.parent)
        write_file(file, (json.dumps(document, indent=2) + "\n").encode())
    except OutputError as error:
        _log.info("the measurement is not kept, and will be repeated next time: %s", error)
        return False
    return True


def _cache_folder() -> Path | None:
    folder = os.environ.get(CACHE_VARIABLE)
    if folder:
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "edgevision"
    except RuntimeError:  # the user has no home folder
        return None
