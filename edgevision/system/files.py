"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from edgevision.errors import OutputError


def write_file(path: Path, content: bytes) -> None:
    """Write a file: to a temporary one beside it, which then takes its place.

    Raises:
        OutputError: it cannot be written. A file that was there is as it was, and nothing is left behind.
    """
    import tempfile  # a model that is only run needs none

    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _refusal(path, error) from error
    building = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for their owner alone.
        building.chmod(0o644)
        building.replace(path)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        building.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there; check that it can be written to.

    Raises:
        OutputError: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the folder cannot be made: {error.strerror or error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder cannot be written to; choose another")


def check_folder_of(path: Path, option: str) -> None:
    """Check, before any long work, that a file or folder can be made at `path`.

    Args:
        path: of what is to be made.
        option: with which it was named, such as ``-o``.

    Raises:
        OutputError: its folder is missing or cannot be written to.
    """
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; type: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} cannot be written to; choose another with {option}")


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {error.strerror or error}; nothing was left")
