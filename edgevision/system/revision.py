"""The revision of this package's source, where it is known: from pip, or from the git checkout it runs in."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from edgevision.system.reading import MOST_SETTINGS_BYTES, read_file
from edgevision.system.strict_json import JsonError, read_json

_PACKAGE = Path(__file__).parents[1]
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_SECONDS = 10.0


@cache
def revision() -> str | None:
    """The commit of the package's source, in hex, with ``+changes`` if files that git tracks were changed.

    `None` for a release that was installed from a package index, and where git is not installed.
    """
    return _recorded_by_pip() or _of_checkout(_PACKAGE)


def _recorded_by_pip() -> str | None:
    """The commit that ``pip install git+https://…`` recorded (PEP 610)."""
    try:
        own = distribution("edgevision")
        path = next(own.locate_file(file) for file in own.files or () if file.name == "direct_url.json")
        document = read_json(read_file(str(path), MOST_SETTINGS_BYTES))
    except (PackageNotFoundError, StopIteration, OSError, JsonError):
        return None
    commit = document.get("vcs_info", {}).get("commit_id")
    return commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else None


def _of_checkout(package: Path) -> str | None:
    # A wheel may be installed below the checkout of another project, whose revision says nothing of it.
    if not _git(package, "ls-files", "--error-unmatch", "_version.py"):
        return None
    commit = _git(package, "rev-parse", "HEAD")
    if commit is None or not _COMMIT.fullmatch(commit):
        return None
    changed = _git(package, "status", "--porcelain", "--untracked-files=no")
    return commit if changed == "" else f"{commit}+changes"


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; `None` if it fails, or git is not installed."""
    # `status` would else write the index anew, and a lock beside it.
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
