"""Writing files and folders: the one place of the package that does.

An output is whole or not there: it is written under a temporary name beside its own, made durable, and put in
place in one step. Where something else came to that place meanwhile, it stays, and the writer is refused. A
writer that was killed leaves a temporary file or folder, which the next writer of the same output removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edgevision.errors import OutputError
from edgevision.system.bundle_name import BUNDLE_SUFFIX, MANIFEST
from edgevision.system.folders import entries_below

#: Where Linux keeps files in memory.
_FOLDERS_IN_MEMORY = ("/dev/shm",)  # noqa: S108
#: Longest name, in bytes, that stands in the name of its temporary file.
_MOST_NAME_BYTES = 200
_EXTRA = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _EXTRA
_LOOK = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _EXTRA
_LOCK = os.O_RDWR | os.O_CREAT | _EXTRA
_PERMISSIONS = 0o777
#: Flags of renameat2, and what says that a system or disk does not have it.
_NO_REPLACE, _EXCHANGE = 1, 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EXDEV)
_AT_WORKING_FOLDER = -100
_LOCK_WAIT_S = 5.0


@dataclass(frozen=True)
class OutputState:
    """The state of a path, to be compared with its state when an output is put in place.

    Attributes:
        identity: of the file or folder, as the file system tells it; `None` if nothing is there.
        mode: its permissions and kind.
    """

    identity: tuple[int, int, int] | None = None
    mode: int = 0

    @classmethod
    def of(cls, path: str | Path) -> OutputState:
        """The present state.

        Raises:
            OutputError: the path cannot be looked at.
        """
        try:
            state = os.lstat(path)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            raise _refusal(Path(path), error) from error
        return cls((state.st_dev, state.st_ino, state.st_ctime_ns), state.st_mode)

    @property
    def is_folder(self) -> bool:
        """True if a folder is there."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """True if a regular file, or a link, is there."""
        return stat.S_ISREG(self.mode) or stat.S_ISLNK(self.mode)

    def __bool__(self) -> bool:
        return self.identity is not None


#: Nothing is there.
ABSENT = OutputState()


def write_file(path: str | Path, content: bytes, before: OutputState | None = None) -> None:
    """Write a file: into a temporary file beside it, which then takes its place.

    A new file has the permissions that the caller's umask gives; one that is replaced keeps its own.

    Args:
        path: the file.
        content: its content.
        before: what must still be at `path`, such as `ABSENT`; by default, whatever is there now.

    Raises:
        OutputError: it cannot be written, or something else was written there meanwhile. What is there is
            unchanged, and nothing is left behind.
    """
    path = Path(path)
    before = OutputState.of(path) if before is None else before
    if before and not before.is_file:
        raise OutputError(f"{path}: is not a regular file, so it is not replaced; choose another name")
    try:
        remove_leftovers(path)
        with _temporary_file(path) as (building, descriptor):
            _write_all(descriptor, content)
            if stat.S_ISREG(before.mode):
                building.chmod(stat.S_IMODE(before.mode) & _PERMISSIONS)
            os.fsync(descriptor)
            _put_in_place(building, path, before, lambda old: None)
            if before:
                building.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


@contextmanager
def written_whole(path: str | Path, before: OutputState) -> Iterator[BinaryIO]:
    """A file to be written in pieces, which takes its place when the block ends without an error.

    Args:
        path: the file.
        before: what must still be at `path` then.

    Raises:
        OutputError: as `write_file`, also for an `OSError` within the block.
    """
    path = Path(path)
    if before and not before.is_file:
        raise OutputError(f"{path}: is not a regular file, so it is not replaced; choose another name")
    try:
        remove_leftovers(path)
        with _temporary_file(path) as (building, descriptor):
            with os.fdopen(os.dup(descriptor), "w+b") as file:
                yield file
            if stat.S_ISREG(before.mode):
                building.chmod(stat.S_IMODE(before.mode) & _PERMISSIONS)
            os.fsync(descriptor)
            _put_in_place(building, path, before, lambda old: None)
            if before:
                building.unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(path, error) from error


class LineFile:
    """A file that grows by whole lines, for what has no end: others may read it meanwhile.

    Args:
        path: the file; it is created, or emptied where `before` says that something is there.
        before: its state, checked by the caller.

    Raises:
        OutputError: it cannot be created.
    """

    def __init__(self, path: str | Path, before: OutputState) -> None:
        self._path = Path(path)
        self._length = 0
        if before and not before.is_file:
            raise OutputError(f"{path}: is not a regular file, so it is not replaced; choose another name")
        flags = _CREATE & ~os.O_EXCL | os.O_TRUNC if before else _CREATE
        try:
            self._descriptor = os.open(self._path, flags, 0o666)
        except OSError as error:
            raise _refusal(self._path, error) from error

    def write(self, line: str) -> None:
        """Add a line; a part of one, where the disk is full, is taken back.

        Raises:
            OutputError: it cannot be written; the lines before it are whole.
        """
        content = line.encode() + b"\n"
        try:
            _write_all(self._descriptor, content)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._length)
            raise OutputError(
                f"{self._path}: cannot be written: {_reason(error)}; the lines before are kept"
            ) from error
        self._length += len(content)

    def close(self) -> None:
        """Make it durable."""
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_folder(
    path: str | Path, contents: Mapping[str, bytes], before: OutputState, own: Collection[str]
) -> None:
    """Write a folder: into a temporary folder beside it, which then takes its place.

    A folder that is replaced is at its path until the new one is; its permissions, and those of the files of
    the same names, are kept.

    Args:
        path: the folder.
        contents: name -> content; a name may contain folders. They are written in this order.
        before: what must still be at `path`.
        own: names of files in the folder that is replaced, which are removed with it. If it has others, it is
            not replaced.

    Raises:
        OutputError: as `write_file`.
    """
    path = Path(path)
    if before and not before.is_folder:
        raise OutputError(f"{path}: is not a folder, so it is not replaced; choose another name")

    def check(old: Path) -> None:
        foreign = sorted(files_below(old) - set(own))
        if foreign:
            raise _foreign(path, foreign)

    try:
        remove_leftovers(path)
        with _temporary_folder(path) as building:
            for name, content in contents.items():
                _write_new(building / name, content, _mode_of(path / name) if before else None)
            for folder in [building, *_folders_below(building)]:
                _sync_folder(folder)
            if before:
                building.chmod(stat.S_IMODE(before.mode) & _PERMISSIONS)
            _put_in_place(building, path, before, check)
            if before:
                with contextlib.suppress(OSError):  # what is left goes with the next writer
                    _remove(building, own)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def write_link(path: str | Path, target: str) -> None:
    """Point a symbolic link at another target, in one step.

    Only one writer of the folder may do so at a time: see `alone_in`.

    Args:
        path: the link; created if nothing is there.
        target: where it leads, from its folder.

    Raises:
        OutputError: something else is there, or the disk has no links. What is there is unchanged.
    """
    path = Path(path)
    before = OutputState.of(path)
    if before and not stat.S_ISLNK(before.mode):
        raise OutputError(f"{path}: is not a link, so it is not replaced; choose another folder, or move it")
    try:
        for leftover in _leftovers(path):
            if leftover.is_symlink():
                leftover.unlink()
        building = _temporary_name(path)
        building.symlink_to(target)
        try:
            _sync_folder(path.parent)
            building.replace(path)
        except BaseException:
            building.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep others who ask for the same folder out of it, until the block or the process ends.

    Raises:
        OutputError: another process is in it.
    """
    descriptor = os.open(folder, os.O_RDONLY) if os.name == "posix" else None
    try:
        if descriptor is not None and _locked(descriptor) is False:
            raise OutputError(f"{folder}: another process installs there; run this again when it is done")
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it, as far as that is possible."""
    import shutil  # not needed to run a model

    with contextlib.suppress(RecursionError):  # others put folders into it
        shutil.rmtree(folder, ignore_errors=True)


def remove_file(path: str | Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        Path(path).unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _refusal(Path(path), error) from error


def files_below(folder: Path) -> set[str]:
    """The names of everything in a folder but its subfolders, with ``/``; links are not followed.

    Raises:
        OSError: it cannot be listed.
    """
    return {name for name, entry in entries_below(folder) if not entry.is_dir(follow_symlinks=False)}


def remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders of writers of `path` that were killed.

    A writer that lives holds a lock on its own, which the system releases when it ends in any way. On a disk
    without such locks nothing is removed; nor while another writer exchanges an output in this folder, whose
    old one may still be put back.
    """
    with contextlib.suppress(OSError), _alone_in(path.parent, wait_s=0.0) as is_alone:
        if not is_alone:
            return
        for leftover in _leftovers(path):
            with contextlib.suppress(OSError):
                _remove_leftover(leftover, path)


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


class FileLock:
    """A lock beside a file that this process alone writes to, until it is released or the process ends.

    Args:
        path: the file; the lock is an empty file beside it with the suffix ``-lock``.

    Raises:
        OutputError: the folder is missing or not writable.
        BlockingIOError: another process, or another object of this one, has the lock.
    """

    def __init__(self, path: str | Path) -> None:
        self._place = Path(f"{path}-lock")
        try:
            self._descriptor = self._taken()
        except BlockingIOError:
            raise
        except (OSError, ValueError) as error:
            raise _refusal(Path(path), error) from error

    def _taken(self) -> int:
        while True:
            descriptor = os.open(self._place, _LOCK, 0o666)
            if _locked(descriptor) is False:
                os.close(descriptor)
                raise BlockingIOError(errno.EAGAIN, "is locked", str(self._place))
            if _is_at(descriptor, self._place):
                return descriptor
            os.close(descriptor)  # the one who had it removed it meanwhile

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        with contextlib.suppress(OSError):
            self._place.unlink()
        os.close(self._descriptor)


def make_folder(path: str | Path) -> None:
    """Create a folder and its parents where they do not exist, and check that it is writable.

    Raises:
        OutputError: it cannot be created, or is not writable.
    """
    path = Path(path)
    try:
        _check_outside_bundles(path, path)
        path.mkdir(parents=True, exist_ok=True)
    except OutputError:
        raise
    except (OSError, ValueError) as error:
        reason = "a file is there" if isinstance(error, FileExistsError) else _reason(error)
        raise OutputError(f"{path}: the folder cannot be created: {reason}; choose another") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder is not writable; choose another")


def check_folder_of(path: str | Path, option: str) -> OutputState:
    """The state of `path`, after a check, before any long work, that a file or folder can be created there.

    Args:
        path: the output.
        option: the option that named it, such as ``-o``.

    Raises:
        OutputError: its folder is missing, not writable or that of a bundle, or no file can have its name.
    """
    path = Path(path)
    folder = path.parent
    before = OutputState.of(path)
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; run: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable; choose another with {option}")
    _check_outside_bundles(path, folder)
    return before


def _check_outside_bundles(path: Path, folder: Path) -> None:
    """A bundle with a file that its manifest does not list is refused wherever it is opened."""
    resolved = folder.resolve()
    for place in (resolved, *resolved.parents):
        if place.suffix == BUNDLE_SUFFIX and (place / MANIFEST).is_file():
            raise OutputError(
                f"{path}: lies in the bundle {place}, which has no other files; choose another place"
            )


def _put_in_place(building: Path, path: Path, before: OutputState, check: Callable[[Path], None]) -> None:
    """Move `building` to `path`, and what was there to `building`, in one step.

    Args:
        building: what was written.
        path: its place.
        before: what must be there.
        check: called with the place of what was replaced; if it raises, that is put back.
    """
    with _alone_in(path.parent, _LOCK_WAIT_S):
        if OutputState.of(path) != before:
            raise _overtaken(path)
        if not before:
            _move_to_free_place(building, path)
        elif _renamed(building, path, _EXCHANGE):
            try:
                if OutputState.of(building).identity[:2] != before.identity[:2]:  # type: ignore[index]
                    raise _overtaken(path)
                check(building)
            except BaseException:
                _renamed(building, path, _EXCHANGE)
                raise
        else:
            check(path)
            _exchange_in_steps(building, path)
        _sync_folder(path.parent)


def _move_to_free_place(building: Path, path: Path) -> None:
    try:
        if _renamed(building, path, _NO_REPLACE):
            return
        if os.path.lexists(path):
            raise _overtaken(path)
        building.rename(path)
    except FileExistsError as error:
        raise _overtaken(path) from error


def _exchange_in_steps(building: Path, path: Path) -> None:
    """Where the system cannot exchange: a file is replaced in one step, a folder has a moment without one.

    A writer that is killed in that moment leaves the old folder, and `remove_leftovers` puts it back.
    """
    if not building.is_dir():
        building.replace(path)
        return
    old = building.with_suffix(".old")
    path.rename(old)
    try:
        building.rename(path)
    except OSError:
        old.rename(path)
        raise
    old.rename(building)


def _renamed(old: Path, new: Path, flag: int) -> bool:
    """Call renameat2; False where the system or the disk does not have it."""
    import ctypes  # not needed to run a model

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    if call(_AT_WORKING_FOLDER, os.fsencode(old), _AT_WORKING_FOLDER, os.fsencode(new), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(new))


@contextmanager
def _alone_in(folder: Path, wait_s: float) -> Iterator[bool]:
    """Keep other writers out of a folder; False if its disk has no locks, or one of them holds on to it."""
    descriptor = os.open(folder, os.O_RDONLY) if os.name == "posix" else None
    try:
        until = time.monotonic() + wait_s
        locked = None if descriptor is None else _locked(descriptor)
        while descriptor is not None and locked is False and time.monotonic() < until:
            time.sleep(0.01)
            locked = _locked(descriptor)
        yield bool(locked)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; False if another holds it, `None` if there are no locks here."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def _is_own(building: Path, descriptor: int) -> bool:
    """Lock a temporary file or folder; False if another writer took it for a leftover before that."""
    return _locked(descriptor) is not False and building.exists()


def _is_at(descriptor: int, path: Path) -> bool:
    """True if an open file is still the one with this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _stem(path: Path) -> str:
    name = path.name
    if len(os.fsencode(name)) > _MOST_NAME_BYTES:
        import zlib

        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    return f".{name}"


def _temporary_name(path: Path) -> Path:
    return path.parent / f"{_stem(path)}.{os.urandom(8).hex()}.tmp"


@contextmanager
def _temporary_file(path: Path) -> Iterator[tuple[Path, int]]:
    while True:
        building = _temporary_name(path)
        descriptor = os.open(building, _CREATE, 0o666)
        if _is_own(building, descriptor):
            break
        os.close(descriptor)
    try:
        yield building, descriptor
    except BaseException:
        building.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def _temporary_folder(path: Path) -> Iterator[Path]:
    while True:
        building = _temporary_name(path)
        building.mkdir()
        try:
            descriptor = os.open(building, os.O_RDONLY) if os.name == "posix" else None
        except FileNotFoundError:
            continue
        if descriptor is None:
            break
        if _is_own(building, descriptor):
            break
        os.close(descriptor)
    try:
        yield building
    except BaseException:
        remove_tree(building)
        raise
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _write_new(path: Path, content: bytes, mode: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, _CREATE, 0o666)
    try:
        _write_all(descriptor, content)
        if mode is not None:
            path.chmod(mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _mode_of(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.lstat().st_mode) & _PERMISSIONS
    except OSError:
        return None


def _folders_below(folder: Path) -> list[Path]:
    return [Path(entry.path) for _, entry in entries_below(folder) if entry.is_dir(follow_symlinks=False)]


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the disk can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


def _remove(folder: Path, own: Collection[str]) -> None:
    """Remove files by their names, and the folders that are empty then."""
    for name in own:
        (folder / name).unlink(missing_ok=True)
    for inner in [*reversed(_folders_below(folder)), folder]:
        inner.rmdir()


def _leftovers(path: Path) -> list[Path]:
    """Temporary files and folders of writers of `path`, dead or alive."""
    pattern = re.compile(rf"{re.escape(_stem(path))}\.[0-9a-f]{{16}}\.(tmp|old)")
    with os.scandir(path.parent) as listing:
        return [path.parent / entry.name for entry in listing if pattern.fullmatch(entry.name)]


def _remove_leftover(leftover: Path, path: Path) -> None:
    descriptor = os.open(leftover, _LOOK)
    try:
        if not _locked(descriptor):
            return
        if leftover.suffix == ".old" and not os.path.lexists(path):
            leftover.rename(path)
        elif stat.S_ISDIR(os.fstat(descriptor).st_mode):
            remove_tree(leftover)
        else:
            leftover.unlink()
    finally:
        os.close(descriptor)


def _overtaken(path: Path) -> OutputError:
    return OutputError(
        f"{path}: was written by another program meanwhile, and is kept; choose another name, or run this "
        "again"
    )


def _foreign(path: Path, foreign: Collection[str]) -> OutputError:
    named = ", ".join(list(foreign)[:3])
    return OutputError(
        f"{path}: holds other files than its own ({named}), so it is not replaced; move them "
        "elsewhere, or choose another name"
    )


def _refusal(path: Path, error: OSError | ValueError) -> OutputError:
    if isinstance(error, OutputError):
        return error
    return OutputError(f"{path}: cannot be written: {_reason(error)}; nothing was left behind")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "the name has a character that no file name can have"
