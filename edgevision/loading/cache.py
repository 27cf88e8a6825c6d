"""What was chosen by measuring, kept on disk: a small JSON file for each bundle, machine and set of versions.

A cache that cannot be read or written is no error: then it is measured again.
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
from edgevision.loading.choice import Configuration
from edgevision.system.cores import cores
from edgevision.system.entry_points import installed_packages
from edgevision.system.files import make_folder, write_file
from edgevision.system.machine import instruction_sets, processor

CACHE_VARIABLE = "EDGEVISION_CACHE"

_log = logging.getLogger("edgevision")
_LARGEST_BYTES = 1_000_000
#: Where the kernel shows GPUs and NPUs: one that is new may change what the bundle's order takes.
_DEVICE_NODES = ("nvidia[0-9]*", "nvmap", "dri/renderD*", "accel/accel*")


def tuning_file(bundle: Bundle, settings: SessionSettings, possible: Sequence[Configuration]) -> Path | None:
    """Where the choice for a bundle is kept; `None` where there is no home folder.

    The name is a digest of all that it depends on: the bundle, what was asked for, the candidates,
    the machine, and every package that is installed. The runtimes are not asked for their versions,
    for that would import all of them to run one.
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
    """What was kept; `None` if nothing was, if it is damaged, or none of the candidates."""
    try:
        if file is None or file.stat().st_size > _LARGEST_BYTES:
            return None
        found = json.loads(file.read_text(encoding="utf-8"))
        pair, threads = (found["artifact"], found["backend"]), found["threads"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.info("%s: is ignored and written again: %s", file, error)
        return None
    if type(threads) is not int or not 1 <= threads <= max(one.threads for one in possible):
        return None
    entries = [one.entry for one in possible if one.pair == pair]
    return Configuration(entries[0], pair[1], threads) if entries else None


def write_choice(file: Path | None, chosen: Configuration, bundle: Bundle, why: str) -> bool:
    """Keep a choice.

    Args:
        file: what `tuning_file` gave.
        chosen: the candidate.
        bundle, why: for people who open the file.

    Returns:
        Whether it could be kept.
    """
    if file is None:
        return False
    artifact, backend = chosen.pair
    document: dict[str, Any] = {"artifact": artifact, "backend": backend, "threads": chosen.threads}
    document |= {"bundle": str(bundle.path), "because": why}
    try:
        make_folder(file.parent)
        write_file(file, (json.dumps(document, indent=2) + "\n").encode())
    except OutputError as error:
        _log.info("what was measured is not kept, and is measured again next time: %s", error)
        return False
    return True


def _cache_folder() -> Path | None:
    told = os.environ.get(CACHE_VARIABLE)
    if told:
        return Path(told)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "edgevision"
    except RuntimeError:  # the user has no home folder
        return None
