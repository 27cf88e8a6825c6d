"""Bundles on disk: written whole or not at all, read with every digest checked."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from edgevision.artifact import Artifact
from edgevision.bundle.layout import MANIFEST
from edgevision.bundle.manifest import ArtifactEntry, FileEntry, Manifest, from_json, to_json
from edgevision.errors import BundleError, OutputError
from edgevision.system.files import check_folder_of

_LARGEST_MANIFEST_BYTES = 16_000_000


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read, and whose files all have the digests that its manifest says.

    Attributes:
        path: the directory or zip file.
        manifest: what it says of itself.
        labels: one name a class.
    """

    path: Path
    manifest: Manifest
    labels: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256, in hex, of its manifest, and so of every file that this names."""
        return _sha256(to_json(self.manifest).encode())

    def artifact(self, entry: ArtifactEntry) -> Artifact:
        """Read an artifact into memory, its digests checked on the bytes that are returned.

        Raises:
            BundleError: a file is missing or is not the one that the manifest was written for.
        """
        files = _open(self.path)
        content = {PurePosixPath(file.path).name: _checked(files, file, self.path) for file in entry.files}
        return Artifact(entry.format, entry.precision, content)

    def read(self, entry: FileEntry) -> bytes:
        """Read one of the other files, its digest checked on the bytes that are returned.

        Raises:
            BundleError: as `artifact`.
        """
        return _checked(_open(self.path), entry, self.path)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle's manifest and labels, and check the digest of every file.

    Args:
        path: the directory, or a zip file of it.

    Raises:
        BundleError: there is no bundle, its schema version is unknown, or a file is missing,
            has another digest, or lies outside of the bundle.
    """
    files = _open(path)
    try:
        text = files.read(MANIFEST, _LARGEST_MANIFEST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path / MANIFEST}: is no JSON: {error}") from error
    manifest = from_json(text, str(path / MANIFEST))
    for entry in manifest.files():
        _checked(files, entry, path)
    try:
        labels = _checked(files, manifest.labels, path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path / manifest.labels.path}: is no UTF-8 text: {error}") from error
    return Bundle(path, manifest, tuple(labels))


def file_entry(path: str, content: bytes) -> FileEntry:
    """The manifest's entry for a file with this content."""
    return FileEntry(path, _sha256(content), len(content))


def check_output(path: Path, force: bool) -> None:
    """Check, before any long work, that a bundle can be written to `path`.

    Raises:
        OutputError: its folder is missing or cannot be written to, it exists and `force` is
            false, or it exists and is no bundle.
    """
    if path.suffix != ".evb":
        raise OutputError(f"{path}: a bundle's name ends in .evb; type -o {path.with_suffix('.evb')}")
    check_folder_of(path, "-o")
    if path.exists() or path.is_symlink():
        if not force:
            raise OutputError(f"{path}: exists; --force replaces it")
        if not (path.is_dir() and (path / MANIFEST).is_file()):
            raise OutputError(
                f"{path}: exists and is no bundle: it is not replaced; choose another name with -o"
            )


def write_bundle(path: Path, manifest: Manifest, files: Mapping[str, bytes], force: bool = False) -> None:
    """Write a bundle: to a temporary directory beside `path`, and from there by renaming.

    Args:
        path: the directory to be made, ``NAME.evb``.
        manifest: whose entries fit `files`.
        files: path in the bundle -> content, all but the manifest.
        force: replace a bundle that is there; it stays whole until the new one is.

    Raises:
        OutputError: it cannot be written. Nothing is left behind.
    """
    check_output(path, force)
    import tempfile  # a model that is only run needs none

    try:
        building = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        for name, content in {**files, MANIFEST: to_json(manifest).encode()}.items():
            _write_through(building / name, content)
        building.chmod(0o755)
        _move_into_place(building, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; nothing was left"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_through(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move_into_place(building: Path, path: Path) -> None:
    old = Path(f"{building}.old")
    if path.exists():
        path.rename(old)
    try:
        building.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


class _Files(Protocol):
    def read(self, name: str, largest_bytes: int) -> bytes: ...


class _Directory:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = path.resolve()

    def read(self, name: str, largest_bytes: int) -> bytes:
        path = self._path / name
        if not path.resolve().is_relative_to(self._root):
            raise BundleError(f"{self._path}: file '{name}' lies outside of the bundle")
        try:
            if path.stat().st_size > largest_bytes:
                raise BundleError(f"{path}: {path.stat().st_size} bytes, expected {largest_bytes} at most")
            return path.read_bytes()
        except FileNotFoundError as error:
            raise BundleError(f"{path}: is missing") from error
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror or error}") from error


class _Zip:
    """A zip of the directory's content, or of the directory itself."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, largest_bytes: int) -> bytes:
        try:
            with zipfile.ZipFile(self._path) as archive:
                names = archive.namelist()
                top = (
                    ""
                    if MANIFEST in names
                    else next((n[: -len(MANIFEST)] for n in names if _is_manifest(n)), "")
                )
                info = archive.getinfo(top + name)
                if info.file_size > largest_bytes:
                    raise BundleError(
                        f"{self._path}: '{name}' has {info.file_size} bytes, expected {largest_bytes}"
                    )
                return archive.read(info)
        except KeyError as error:
            raise BundleError(f"{self._path}: '{name}' is missing") from error
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise BundleError(f"{self._path}: cannot be read as a zip of a bundle: {error}") from error


def _is_manifest(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] == MANIFEST


def _open(path: Path) -> _Files:
    if path.is_dir():
        return _Directory(path)
    if path.is_file():
        return _Zip(path)
    raise BundleError(f"{path}: there is no such bundle")


def _checked(files: _Files, entry: FileEntry, bundle: Path) -> bytes:
    parts = PurePosixPath(entry.path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in entry.path or not parts.parts:
        raise BundleError(f"{bundle}: file '{entry.path}' lies outside of the bundle")
    content = files.read(entry.path, entry.size_bytes)
    digest = _sha256(content)
    if digest != entry.sha256:
        raise BundleError(
            f"{bundle / entry.path}: is not the file that the manifest was written for: "
            f"sha256 {digest[:12]}…, expected {entry.sha256[:12]}…; copy the bundle again, or convert again"
        )
    return content


def _sha256(content: bytes) -> str:
    import hashlib  # here, and not above: it loads OpenSSL

    return hashlib.sha256(content).hexdigest()
