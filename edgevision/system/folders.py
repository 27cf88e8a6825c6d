"""What lies in a folder and below it: listed without recursion, and only to a limited depth.

Folders of others may lie in one another a thousand times, and deeper than Python calls itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

#: Folders in one another.
MOST_DEPTH = 100


def entries_below(folder: str | os.PathLike[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Name in the folder, with ``/``, and entry of everything in it and its subfolders.

    Links are listed, and not followed. The entries of one folder come sorted, before those of its subfolders.

    Raises:
        OSError: a folder cannot be listed, or lies deeper than `MOST_DEPTH`; ``strerror`` says which.
    """
    waiting = [("", os.fspath(folder))]
    while waiting:
        prefix, here = waiting.pop()
        if prefix.count("/") > MOST_DEPTH:
            raise too_deep(folder)
        with os.scandir(here) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            name = prefix + entry.name
            yield name, entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append((f"{name}/", entry.path))


def too_deep(folder: str | os.PathLike[str]) -> OSError:
    """The error for a folder whose subfolders lie too deep."""
    reason = f"has more than {MOST_DEPTH} folders in one another"
    return OSError(errno.ENAMETOOLONG, reason, os.fspath(folder))
