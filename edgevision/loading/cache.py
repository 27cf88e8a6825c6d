"""Keeps the fastest configuration on disk: one small JSON file per bundle, machine and set of versions.

A cache that cannot be read or written is not an error: the configurations are measured again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgevision.backend import SessionSettings
from edgevision.bundle.storage import Bundle
from edgevision.errors import OutputError
from edgevision.loading.configurations import Configuration
from edgevision.loading.kept import folder_beside, machine_facts
from edgevision.system.cache_folder import cache_folder
from edgevision.system.cores import cores
from edgevision.system.files import make_folder, write_file
from edgevision.system.reading import read_file
from edgevision.system.strict_json import read_json

_log = logging.getLogger("edgevision")
_LARGEST_BYTES = 1_000_000


def tuning_file(
    bundle: Bundle,
    settings: SessionSettings,
    possible: Sequence[Configuration],
    folder: Path | None = None,
) -> Path | None:
    """The file that keeps the choice for a bundle; `None` where there is no home folder.

    Its name is a digest of all that the choice depends on: the bundle, the requested settings, the
    configurations, the machine, and every installed package.

    Args:
        bundle, settings, possible: as above.
        folder: where choices are kept; by default the user's cache.
    """
    folder = cache_folder() if folder is None else folder
    return None if folder is None else folder / "tuning" / _name(bundle, settings, possible)


def kept_choice(
    bundle: Bundle, settings: SessionSettings, possible: Sequence[Configuration]
) -> tuple[Configuration, Path] | None:
    """The choice for a bundle that was kept on this machine, and its file; `None` if there is none.

    Args:
        bundle, settings, possible: as for `tuning_file`.
    """
    for folder in (None, folder_beside(bundle.path)):
        file = tuning_file(bundle, settings, possible, folder)
        choice = read_choice(file, possible)
        if choice is not None and file is not None:
            return choice, file
    return None


def _name(bundle: Bundle, settings: SessionSettings, possible: Sequence[Configuration]) -> str:
    facts = [
        bundle.digest,
        settings.device,
        settings.precision,
        settings.threads,
        [(*one.pair, one.threads) for one in possible],
        cores(),
        machine_facts(),
    ]
    return f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}.json"


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
