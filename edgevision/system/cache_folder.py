"""The folder of the user's cache, and what tells that a file which a kept result depends on was written."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "EDGEVISION_CACHE"


def cache_folder() -> Path | None:
    """The folder of the user's cache; `None` where there is no home folder."""
    folder = os.environ.get(CACHE_VARIABLE)
    if folder:
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "edgevision"
    except RuntimeError:  # the user has no home folder
        return None


def file_facts(path: Path) -> list[object]:
    """Values that change whenever a file is written: nothing of it is read."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return [str(path)]
    return [str(path), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
