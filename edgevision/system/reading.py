"""Reading files: the one place of the package that opens them.

Regular files alone are read, whole, from the descriptor that was checked, and only up to a limit that the
caller states for their kind. A pipe would be waited for, a device may never end or act when it is opened, and
a file of a few blanks can declare terabytes. Everything that can go wrong is an `OSError` whose ``strerror``
says it in words. Standard input and cameras are not read here: they have no end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import FileIO
from pathlib import Path
from typing import BinaryIO

#: Limits in bytes, by what a file is.
MOST_MODEL_BYTES = 32 << 30  # nothing of a model is read that does not fit into the machine's memory, either
MOST_IMAGE_BYTES = 4 << 30
MOST_DOCUMENT_BYTES = 2 << 30
MOST_SETTINGS_BYTES = 16 << 20

#: Bytes that are read at a time where a file is not kept.
_CHUNK = 1 << 20
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
#: An `open` that does not wait for the writer of a pipe, and does not take a terminal for its own.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISLNK, "is a link"),
)


def read_file(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """The content of a regular file; links to one are followed.

    Args:
        path: the file.
        most_bytes: a larger file is refused before anything of it is read.

    Raises:
        OSError: it is missing, unreadable, no regular file, or too large; ``strerror`` says which.
    """
    with open_file(path, most_bytes) as file:
        return _content(file, path, most_bytes)


def read_text(path: str | os.PathLike[str], most_bytes: int) -> str:
    """The content of a regular file that is UTF-8.

    Raises:
        OSError: as `read_file`, or it is not UTF-8.
    """
    content = read_file(path, most_bytes)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OSError(errno.EILSEQ, f"byte {error.start} is not UTF-8", str(path)) from error


def read_start(path: str | os.PathLike[str], count: int) -> bytes:
    """The first `count` bytes of a regular file of any size, or all that it has.

    Raises:
        OSError: as `read_file`.
    """
    with open_file(path) as file:
        return _content(file, path, count, size=count)


def open_file(path: str | os.PathLike[str], most_bytes: int | None = None) -> FileIO:
    """A regular file, open for reading, for what reads only parts of it, such as an archive.

    Raises:
        OSError: as `read_file`.
    """
    with _in_words(path):
        # A device can act when it is opened: a watchdog resets the machine. So its name is looked at first,
        # and what was opened is looked at again.
        _check(Path(path).stat(), most_bytes, path)
        return _checked(os.open(path, _READ | _AT_ONCE), most_bytes, path)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a regular file of any size, in hex, read in parts.

    Raises:
        OSError: as `read_file`.
    """
    import hashlib  # not needed to run a model

    digest = hashlib.sha256()
    with open_file(path) as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()


def check_regular_file(path: str | os.PathLike[str]) -> None:
    """Refuse what is not a regular file by its name alone: for a library that opens files itself.

    Raises:
        OSError: as `read_file`.
    """
    with _in_words(path):
        _check(Path(path).stat(), None, path)


def read_file_below(folder: str | os.PathLike[str], name: str, most_bytes: int) -> bytes:
    """The content of a regular file in a folder, where no part of `name` is a link.

    Args:
        folder: the folder; it may itself be reached by links.
        name: path in it, with ``/``, without ``..``.
        most_bytes: as for `read_file`.

    Raises:
        OSError: as `read_file`; or `name` leads out of the folder or over a link.
    """
    path = Path(folder, name)
    *parents, last = name.split("/")
    if not last or any(part in ("", ".", "..") for part in (*parents, last)):
        raise OSError(errno.EINVAL, "leads out of the folder", str(path))
    if os.open not in os.supports_dir_fd:  # Windows
        return _read_below_by_path(Path(folder), path, most_bytes)
    with _in_words(path):
        descriptors = [os.open(folder, _READ | os.O_DIRECTORY)]
        try:
            for part in parents:
                descriptors.append(os.open(part, _READ | os.O_DIRECTORY | _NO_LINK, dir_fd=descriptors[-1]))
            state = os.stat(last, dir_fd=descriptors[-1], follow_symlinks=False)
            _check(state, most_bytes, path)
            descriptor = os.open(last, _READ | _AT_ONCE | _NO_LINK, dir_fd=descriptors[-1])
            with _checked(descriptor, most_bytes, path) as file:
                return _content(file, path, most_bytes)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def read_system_file(path: str | os.PathLike[str]) -> str:
    """The text of a file of the kernel, such as ``/proc/cpuinfo``; empty where it cannot be read."""
    try:
        return read_file(path, MOST_SETTINGS_BYTES).decode("utf-8", "replace")
    except OSError:  # not on this system, or a sensor that is listed and does not answer
        return ""


def null_device() -> BinaryIO:
    """The device that discards what is written to it, open for writing."""
    return Path(os.devnull).open("wb", buffering=0)


def _read_below_by_path(folder: Path, path: Path, most_bytes: int) -> bytes:
    for part in (path, *path.parents):
        if part == folder:
            break
        if part.is_symlink():
            raise OSError(errno.ELOOP, "is a link", str(part))
    return read_file(path, most_bytes)


@contextmanager
def _in_words(path: str | os.PathLike[str]) -> Iterator[None]:
    """Make an `OSError` of what a name can cause: a NUL, half a surrogate pair, or no memory."""
    try:
        yield
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name has a character that no file can have", ascii(path)) from error
    except MemoryError as error:
        raise OSError(errno.ENOMEM, "does not fit into the memory", str(path)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            error.strerror = "is a link, or leads over too many"
        raise


def _checked(descriptor: int, most_bytes: int | None, path: str | os.PathLike[str]) -> FileIO:
    file = FileIO(descriptor, "rb")
    try:
        _check(os.fstat(descriptor), most_bytes, path)
    except OSError:
        file.close()
        raise
    return file


def _check(state: os.stat_result, most_bytes: int | None, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(state.st_mode):
        if stat.S_ISDIR(state.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder, expected a file", str(path))
        kind = next((words for is_kind, words in _KINDS if is_kind(state.st_mode)), "is not a file")
        raise OSError(errno.EINVAL, f"{kind}, expected a regular file", str(path))
    if most_bytes is None:
        return
    most = most_bytes if most_bytes <= MOST_SETTINGS_BYTES else min(most_bytes, memory_bytes())
    if state.st_size > most:
        raise OSError(errno.EFBIG, f"has {state.st_size:,} bytes, expected {most:,} at most", str(path))


@cache
def memory_bytes() -> int:
    """The memory of this machine: what is larger cannot be read whole."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on this system
        return MOST_MODEL_BYTES


def _content(file: FileIO, path: str | os.PathLike[str], most_bytes: int, size: int | None = None) -> bytes:
    """All of a file: it may have grown since it was looked at; files of the kernel state no size.

    Args:
        file: the file.
        path: its path, for errors.
        most_bytes: more than that is refused.
        size: read this much and no more; by default, everything.
    """
    with _in_words(path):
        stated = os.fstat(file.fileno()).st_size
        content = file.read((stated + 1 if stated else 1 << 16) if size is None else size) or b""
        if len(content) == (stated if size is None else size):  # the usual case: in one call, not copied
            return content
        parts, total = [content], len(content)
        while parts[-1] and total < (most_bytes + 1 if size is None else size):
            parts.append(file.read(min(1 << 20, most_bytes + 1 - total)) or b"")
            total += len(parts[-1])
        if size is None and total > most_bytes:
            raise OSError(errno.EFBIG, f"has more than {most_bytes:,} bytes", str(path))
        return b"".join(parts)[:size]
