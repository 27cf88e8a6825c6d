"""The error for a document that a newer release of this package wrote."""

from __future__ import annotations

import re
from typing import Any

from edgevision._version import __version__

_VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){1,3}([a-z0-9.+]{0,20})")


def newer_schema(where: str, version: int, readable: int, versions: Any) -> str:
    """An error for a document whose schema version is newer than this release reads.

    Args:
        where: the document.
        version: its schema version.
        readable: the newest that this release reads.
        versions: what it says of the versions of its writers: the one of ``edgevision`` reads it.
    """
    writer = versions.get("edgevision") if isinstance(versions, dict) else None
    known = isinstance(writer, str) and _VERSION.fullmatch(writer)
    needed = f"edgevision {writer} wrote it" if known else "a newer edgevision wrote it"
    command = f"edgevision>={writer}" if known else "edgevision"
    return (
        f"{where}: schema version {version}, and edgevision {__version__} reads up to {readable}; {needed}: "
        f'run: pip install -U "{command}", or convert again'
    )
