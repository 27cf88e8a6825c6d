"""The files of a bundle, in its folder or its zip file: those that the manifest lists, and no others."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Protocol

from edgevision.bundle.layout import MANIFEST, SIGNATURE, is_bundle
from edgevision.bundle.manifest import FileEntry
from edgevision.errors import BundleError
from edgevision.system.folders import entries_below
from edgevision.system.reading import read_file_below

#: Files that a folder can hold before it is none of a bundle.
_MOST_FILES = 100_000
#: Of the list of files in a zip: some ten thousand names.
_MOST_LIST_BYTES = 4_000_000


class BundleFiles(Protocol):
    """The files of a bundle, by their paths in it.

    Attributes:
        path: the bundle, for errors.
    """

    @property
    def path(self) -> Path:
        """The bundle's folder or zip file."""
        ...

    def sizes(self) -> dict[str, int]:
        """Name -> size in bytes, of every file; a folder of nothing counts as one, with ``/`` at its end."""
        ...

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read a file of at most so many bytes."""
        ...


def files_of(path: Path) -> BundleFiles:
    """The files of a bundle.

    Raises:
        BundleError: `path` has no bundle, or its zip cannot be read, or in more than one way.
    """
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise BundleError(
                f"{path}: there is no such bundle; check the path, or run edgevision convert to get a bundle"
            ) from error
        raise BundleError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(state.st_mode):
        if not is_bundle(path):
            raise no_bundle(path)
        return _Folder(path)
    if stat.S_ISREG(state.st_mode):
        return _Zip(path)
    raise BundleError(f"{path}: is not a file or folder; expected a bundle")


def check_exact(files: BundleFiles, entries: Collection[FileEntry]) -> None:
    """Check that a bundle has each listed file, with its size, and no other but the manifest and signature.

    Raises:
        BundleError: a file is missing, not listed, or of another size, or a link or special file is there.
    """
    sizes = files.sizes()
    for entry in entries:
        if entry.path not in sizes:
            raise missing(files.path, entry.path)
        if sizes[entry.path] != entry.size_bytes:
            raise damaged(files.path, entry, f"{sizes[entry.path]} bytes, expected {entry.size_bytes}")
    foreign = sorted(sizes.keys() - {entry.path for entry in entries} - {MANIFEST, SIGNATURE})
    if foreign:
        more = f", and {len(foreign) - 1} other file{'s' * (len(foreign) > 2)}" if foreign[1:] else ""
        raise BundleError(
            f"{files.path}: has '{foreign[0]:.200}'{more}, which its manifest does not list; a bundle has no "
            "other files: move it elsewhere, or copy the bundle again"
        )


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def sizes(self) -> dict[str, int]:
        folders: list[str] = []
        try:
            sizes: dict[str, int] = {}
            for number, (name, entry) in enumerate(entries_below(self.path)):
                if number > _MOST_FILES:
                    raise BundleError(f"{self.path}: has more than {_MOST_FILES:,} files; is not a bundle")
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                    continue
                state = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(state.st_mode):
                    raise BundleError(
                        f"{self.path / name}: is a link or a special file; a bundle has regular files alone: "
                        "copy the file itself there"
                    )
                if state.st_nlink > 1:
                    raise BundleError(
                        f"{self.path / name}: has another name elsewhere (a hard link), by which it can "
                        f"change; copy the bundle: cp -r {self.path} COPY"
                    )
                sizes[name] = state.st_size
        except OSError as error:
            raise BundleError(f"{self.path}: cannot be listed: {error.strerror or error}") from error
        return sizes | _of_nothing(folders, sizes)

    def read(self, name: str, most_bytes: int) -> bytes:
        try:
            return read_file_below(self.path, name, most_bytes)
        except FileNotFoundError as error:
            raise missing(self.path, name) from error
        except OSError as error:
            raise BundleError(f"{self.path / name}: cannot be read: {error.strerror or error}") from error


class _Zip:
    """A zip of the directory's content, or of the directory itself."""

    def __init__(self, path: Path) -> None:
        from edgevision.system.strict_zip import ArchiveError, StrictZip  # a folder needs none of it

        self.path = path
        try:
            self._archive = StrictZip.at(path, most_list_bytes=_MOST_LIST_BYTES)
        except ArchiveError as error:
            raise unreadable(path, error) if is_bundle(path) else no_bundle(path) from error
        except OSError as error:
            raise unreadable(path, error) from error
        names = self._archive.sizes
        manifests = [name for name in names if _is_manifest(name)]
        if MANIFEST not in names and not manifests and not is_bundle(path):
            raise no_bundle(path)  # other formats are zips, too: .keras, TFLite Metadata
        if MANIFEST not in names and len(manifests) > 1:
            raise BundleError(f"{path}: holds {len(manifests)} bundles, expected one; extract it")
        self._top = "" if MANIFEST in names or not manifests else manifests[0][: -len(MANIFEST)]

    def sizes(self) -> dict[str, int]:
        sizes = {**self._archive.sizes, **_of_nothing(self._archive.folders, self._archive.sizes)}
        outside = [name for name in sizes if not name.startswith(self._top)]
        if outside:
            raise BundleError(
                f"{self.path}: has '{outside[0]}' outside the folder of its bundle; zip the bundle alone"
            )
        return {name[len(self._top) :]: size for name, size in sizes.items()}

    def read(self, name: str, most_bytes: int) -> bytes:
        from edgevision.system.strict_zip import ArchiveError

        if self._top + name not in self._archive.sizes:
            raise missing(self.path, name)
        try:
            return self._archive.read(self._top + name, most_bytes)
        except (ArchiveError, OSError) as error:
            raise unreadable(self.path, error) from error


def _of_nothing(folders: Iterable[str], files: Iterable[str]) -> dict[str, int]:
    """The folders that hold no file, as files of no size."""
    parents = {name[: place + 1] for name in files for place, letter in enumerate(name) if letter == "/"}
    return dict.fromkeys((name for name in folders if name not in parents), 0)


def _is_manifest(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] == MANIFEST


def damaged(bundle: Path, entry: FileEntry, difference: str) -> BundleError:
    """The error for a file that is not the one that the manifest was written for."""
    return BundleError(
        f"{bundle / entry.path}: is not the file that the manifest was written for: {difference}; "
        f"copy the bundle again, or convert again"
    )


def missing(bundle: Path, name: str) -> BundleError:
    """The error for a file that is not there."""
    return BundleError(f"{bundle / name}: is missing; copy the bundle again, or convert again")


def no_bundle(path: Path) -> BundleError:
    """The error for a file or folder that is not a bundle."""
    return BundleError(
        f"{path}: is not a bundle, which has a {MANIFEST} in it; edgevision convert makes one of a trained "
        "model, and edgevision predict runs a bare model file"
    )


def unreadable(path: Path, error: Exception) -> BundleError:
    """The error for a zip that cannot be read."""
    return BundleError(f"{path}: cannot be read as a zip of a bundle: {error}")
