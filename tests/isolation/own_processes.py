"""The processes that a test has started."""

from __future__ import annotations

import os
from pathlib import Path

from edgevision.session import CheckedSession


def pid_of(session: CheckedSession) -> int:
    """The process that runs a session."""
    return session._session._supervision.running().process.pid  # type: ignore[attr-defined]


def children() -> set[int]:
    """The living children of this process."""
    own, found = os.getpid(), set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parts = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(parts[1]) == own and parts[0] != "Z":
            found.add(int(folder.name))
    return found
