"""Bundles on disk: written whole or not at all, and no byte used whose digest was not checked."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from edgevision.artifact import Artifact
from edgevision.bundle.layout import MANIFEST, is_bundle
from edgevision.bundle.manifest import ArtifactEntry, FileEntry, Manifest, from_json, to_json
from edgevision.errors import BundleError, OutputError
from edgevision.system.arguments import one_path
from edgevision.system.files import check_folder_of

_LARGEST_MANIFEST_BYTES = 16_000_000


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and labels were read.

    Every file is there and has the size that the manifest states. Its content is checked against the
    manifest's digest when it is read: of all files by `verify`, of one by `artifact` and `read`.

    Attributes:
        path: the directory or zip file.
        manifest: task, preprocessing, artifacts and the digests of all files.
        labels: one name per class.
    """

    path: Path
    manifest: Manifest
    labels: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 of the manifest, in hex. It covers every file, since the manifest has their digests."""
        return _sha256(to_json(self.manifest).encode())

    def artifact(self, entry: ArtifactEntry) -> Artifact:
        """Read an artifact into memory, and check its digests on the very bytes that are returned.

        Raises:
            BundleError: a file is missing or damaged.
        """
        files = _open(self.path)
        content = {_name_in(entry, file): _read(files, file) for file in entry.files}
        return Artifact(entry.format, entry.precision, content)

    def read(self, entry: FileEntry) -> bytes:
        """Read one of the other files, and check its digest on the very bytes that are returned.

        Raises:
            BundleError: the file is missing or damaged.
        """
        return _read(_open(self.path), entry)

    def verify(self) -> None:
        """Read every file and check its digest.

        Raises:
            BundleError: a file is missing or damaged.
        """
        files = _open(self.path)
        for entry in self.manifest.files():
            _read(files, entry)


def _name_in(entry: ArtifactEntry, file: FileEntry) -> str:
    """The name of a file within its artifact, with the folders of an artifact that is one."""
    own = f"artifacts/{entry.id}/"
    return file.path.removeprefix(own) if file.path.startswith(own) else PurePosixPath(file.path).name


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check the digest of every file in it.

    `open_bundle` reads less, for a caller that uses only some of the files.

    Args:
        path: the directory, or a zip file of it.

    Raises:
        BundleError: as `open_bundle`; or the content of a file is not what the manifest was written for.
    """
    bundle = open_bundle(path)
    bundle.verify()
    return bundle


def open_bundle(path: str | Path) -> Bundle:
    """Read a bundle's manifest and labels, and check that every file is there and has its size.

    `edgevision.load` opens a bundle this way, so that the artifacts it does not run are not read. The
    content of the other files is checked when they are read; `Bundle.verify` checks all.

    Args:
        path: the directory, or a zip file of it.

    Raises:
        BundleError: `path` has no bundle, its schema version is unknown, a file is missing, has another
            size or lies outside the bundle, or the labels are damaged.
    """
    path = one_path(path, "path")
    files = _open(path)
    try:
        text = files.read(MANIFEST, _LARGEST_MANIFEST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{path / MANIFEST}: is not valid JSON: {error}") from error
    manifest = from_json(text, str(path / MANIFEST))
    for entry in manifest.files():
        _check_size(files, entry)
    try:
        labels = _read(files, manifest.labels).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BundleError(f"{path / manifest.labels.path}: is not UTF-8 text: {error}") from error
    return Bundle(path, manifest, tuple(labels))


def file_entry(path: str, content: bytes) -> FileEntry:
    """The manifest's entry for a file with this content."""
    return FileEntry(path, _sha256(content), len(content))


def bundle_archive(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """The content of a bundle as one zip file, the same for the same bundle.

    Args:
        manifest: lists every file of `files`.
        files: path in the bundle -> content, for all files but the manifest.
    """
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {MANIFEST: to_json(manifest).encode(), **files}.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def check_output(path: str | Path, force: bool) -> None:
    """Check, before any long work, that a bundle can be written to `path`.

    Raises:
        OutputError: its folder is missing or not writable, or it exists and either `force` is false
            or it is not a bundle.
    """
    path = Path(path)
    if path.suffix != ".evb":
        name = path.with_suffix(".evb") if path.name else "model.evb"
        raise OutputError(f"{path}: the name of a bundle ends in .evb; pass -o {name}")
    check_folder_of(path, "-o")
    if path.exists() or path.is_symlink():
        if not force:
            raise OutputError(f"{path}: already exists; pass --force to replace it")
        if not (path.is_dir() and (path / MANIFEST).is_file()):
            raise OutputError(
                f"{path}: exists and is not a bundle, so it is not replaced; choose another name with -o"
            )


def write_bundle(
    path: str | Path, manifest: Manifest, files: Mapping[str, bytes], force: bool = False
) -> None:
    """Write a bundle: into a temporary directory beside `path`, which then takes its place.

    Args:
        path: the directory to create, ``NAME.evb``.
        manifest: lists every file of `files`.
        files: path in the bundle -> content, for all files but the manifest.
        force: replace an existing bundle, which stays intact until the new one is complete.

    Raises:
        OutputError: it cannot be written. Nothing is left behind.
    """
    path = Path(path)
    check_output(path, force)
    import tempfile  # not needed to run a model

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
            f"{path}: cannot be written: {error.strerror or error}; nothing was left behind"
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
    """The files of a bundle, by their paths in it.

    Attributes:
        path: the bundle, for errors.
    """

    @property
    def path(self) -> Path: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str, largest_bytes: int) -> bytes: ...


class _Directory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = path.resolve()

    def size(self, name: str) -> int:
        path = self.path / name
        try:
            if not path.resolve().is_relative_to(self._root):
                raise _outside(self.path, name)
            status = path.stat()
        except FileNotFoundError as error:
            raise _missing(self.path, name) from error
        except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself, before Python 3.13
            reason = getattr(error, "strerror", None) or error
            raise BundleError(f"{path}: cannot be read: {reason}") from error
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            raise BundleError(f"{path}: is not a file")
        return status.st_size

    def read(self, name: str, largest_bytes: int) -> bytes:
        _check_limit(self.path, name, self.size(name), largest_bytes)
        path = self.path / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: cannot be read: {error.strerror or error}") from error


class _Zip:
    """A zip of the directory's content, or of the directory itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
        except zipfile.BadZipFile as error:
            raise _unreadable(path, error) if is_bundle(path) else _no_bundle(path) from error
        except (OSError, RuntimeError, NotImplementedError) as error:
            raise _unreadable(path, error) from error
        manifests = [name for name in self._members if _is_manifest(name)]
        if not manifests and not is_bundle(path):  # other formats are zips, too: .keras, TFLite Metadata
            raise _no_bundle(path)
        if MANIFEST not in self._members and len(manifests) > 1:
            raise BundleError(f"{path}: holds {len(manifests)} bundles, expected one; extract it")
        self._top = "" if MANIFEST in self._members or not manifests else manifests[0][: -len(MANIFEST)]

    def size(self, name: str) -> int:
        return self._member(name).file_size

    def read(self, name: str, largest_bytes: int) -> bytes:
        member = self._member(name)
        _check_limit(self.path, name, member.file_size, largest_bytes)
        try:
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(member)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise _unreadable(self.path, error) from error

    def _member(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._members[self._top + name]
        except KeyError as error:
            raise _missing(self.path, name) from error


def _is_manifest(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] == MANIFEST


def _open(path: Path) -> _Files:
    if path.is_dir():
        if not is_bundle(path):
            raise _no_bundle(path)
        return _Directory(path)
    if path.is_file():
        return _Zip(path)
    raise BundleError(f"{path}: there is no such bundle")


def _check_size(files: _Files, entry: FileEntry) -> None:
    """Refuse a path that leads out of the bundle, and a file of another size than the manifest's."""
    parts = PurePosixPath(entry.path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in entry.path or not parts.parts:
        raise _outside(files.path, entry.path)
    size = files.size(entry.path)
    if size != entry.size_bytes:
        raise _damaged(files.path, entry, f"{size} bytes, expected {entry.size_bytes}")


def _read(files: _Files, entry: FileEntry) -> bytes:
    _check_size(files, entry)
    content = files.read(entry.path, entry.size_bytes)
    digest = _sha256(content)
    if digest != entry.sha256:
        raise _damaged(files.path, entry, f"sha256 {digest[:12]}…, expected {entry.sha256[:12]}…")
    return content


def _check_limit(bundle: Path, name: str, size_bytes: int, largest_bytes: int) -> None:
    if size_bytes > largest_bytes:
        raise BundleError(f"{bundle / name}: {size_bytes} bytes, expected {largest_bytes} at most")


def _damaged(bundle: Path, entry: FileEntry, difference: str) -> BundleError:
    return BundleError(
        f"{bundle / entry.path}: is not the file that the manifest was written for: {difference}; "
        f"copy the bundle again, or convert again"
    )


def _outside(bundle: Path, name: str) -> BundleError:
    return BundleError(f"{bundle}: file '{name}' lies outside the bundle")


def _missing(bundle: Path, name: str) -> BundleError:
    return BundleError(f"{bundle / name}: is missing; copy the bundle again, or convert again")


def _no_bundle(path: Path) -> BundleError:
    return BundleError(
        f"{path}: is not a bundle, which has a {MANIFEST} in it; edgevision convert makes one of a trained "
        "model, and edgevision predict runs a bare model file"
    )


def _unreadable(path: Path, error: Exception) -> BundleError:
    return BundleError(f"{path}: cannot be read as a zip of a bundle: {error}")


def _sha256(content: bytes) -> str:
    import hashlib  # not at the top: it loads OpenSSL

    return hashlib.sha256(content).hexdigest()
