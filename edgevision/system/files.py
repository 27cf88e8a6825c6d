"""Files and folders for output: a file is written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgevision.errors import OutputError

#: Where Linux keeps files in memory.
_FOLDERS_IN_MEMORY = ("/dev/shm",)  # noqa: S108


def write_file(path: str | Path, content: bytes) -> None:
    """Write a file: into a temporary file beside it, which then takes its place.

    Raises:
        OutputError: it cannot be written. An existing file is unchanged, and nothing is left behind.
    """
    import tempfile  # not needed to run a model

    path = Path(path)
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
        # mkstemp creates files that only their owner can read.
        building.chmod(0o644)
        building.replace(path)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        building.unlink(missing_ok=True)


@contextmanager
def temporary_files(contents: Mapping[str, bytes]) -> Iterator[Path]:
    """A private folder with these files, for what reads files alone; it is gone when the block ends.

    On a read-only system, or where the disk is full, it is in memory.

    Args:
        contents: name -> content; a name may contain folders.

    Raises:
        OutputError: no folder for it is writable; says which were tried.
    """
    import tempfile  # not needed to run a model

    reasons = []
    for place in (None, *_FOLDERS_IN_MEMORY):
        with ExitStack() as stack:
            try:  # the default folder too is looked up here: that fails where none is writable
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgevision-", dir=place))
                for name, content in contents.items():
                    file = Path(folder, name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
            except OSError as error:
                reasons.append(f"{place or 'TMPDIR'}: {error.strerror or error}")
                continue
            yield Path(folder)
            return
    raise OutputError(
        f"no folder for temporary files is writable ({'; '.join(reasons)}); set TMPDIR to one that is"
    )


def make_folder(path: str | Path) -> None:
    """Create a folder and its parents where they do not exist, and check that it is writable.

    Raises:
        OutputError: it cannot be created, or is not writable.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the folder cannot be created: {error.strerror or error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder is not writable; choose another")


def check_folder_of(path: str | Path, option: str) -> None:
    """Check, before any long work, that a file or folder can be created at `path`.

    Args:
        path: the output.
        option: the option that named it, such as ``-o``.

    Raises:
        OutputError: its folder is missing or not writable.
    """
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; run: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable; choose another with {option}")


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {error.strerror or error}; nothing was left behind")
