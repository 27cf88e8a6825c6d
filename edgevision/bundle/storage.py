"""Bundles on disk: written whole or not at all, and no byte used whose digest was not checked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgevision.artifact import Artifact
from edgevision.bundle.files import BundleFiles, check_exact, damaged, files_of
from edgevision.bundle.layout import MANIFEST, SIGNATURE
from edgevision.bundle.manifest import ArtifactEntry, FileEntry, Manifest, from_json, read_manifest, to_json
from edgevision.bundle.trust import TrustPolicy, policies, refusing, unsigned
from edgevision.errors import BundleError, OutputError
from edgevision.system.arguments import one_path
from edgevision.system.files import OutputState, check_folder_of, files_below, write_folder
from edgevision.system.reading import MOST_MODEL_BYTES, MOST_SETTINGS_BYTES, read_file_below

if TYPE_CHECKING:  # a machine without a trust policy does without its libraries
    from edgevision.bundle.signature import Signer


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and labels were read.

    Every file is there and has the size that the manifest states. Its content is checked against the
    manifest's digest when it is read: of all files by `verify`, of one by `artifact` and `read`.

    Attributes:
        path: the directory or zip file.
        manifest: task, preprocessing, artifacts and the digests of all files.
        labels: one name per class.
        digest: of the whole bundle, sha256 in hex; see `edgevision.bundle.manifest.digest_of`.
        signer: who signed it, where a trust policy was met; damage is then a `TrustError`.
        manifest_content: the bytes of ``manifest.json`` that `manifest` was read from; empty for what is no
            bundle of files.
    """

    path: Path
    manifest: Manifest
    labels: tuple[str, ...]
    digest: str
    signer: Signer | None = None
    manifest_content: bytes = field(default=b"", repr=False)

    def digests(self) -> dict[str, str]:
        """Path -> sha256 in hex, of every file but the signature: what is signed."""
        return _digests(self.manifest, self.manifest_content)

    def artifact(self, entry: ArtifactEntry) -> Artifact:
        """Read an artifact into memory, and check its digests on the very bytes that are returned.

        Raises:
            BundleError: a file is missing or damaged.
        """
        with refusing(self.signer is not None):
            files = files_of(self.path)
            content = {_name_in(entry, file): _read(files, file) for file in entry.files}
        return Artifact(entry.format, entry.precision, content)

    def read(self, entry: FileEntry) -> bytes:
        """Read one of the other files, and check its digest on the very bytes that are returned.

        Raises:
            BundleError: the file is missing or damaged.
        """
        with refusing(self.signer is not None):
            return _read(files_of(self.path), entry)

    def verify(self) -> None:
        """Read every file and check its digest.

        Raises:
            BundleError: a file is missing or damaged.
        """
        with refusing(self.signer is not None):
            files = files_of(self.path)
            for entry in self.manifest.files():
                _read(files, entry)


def _name_in(entry: ArtifactEntry, file: FileEntry) -> str:
    """The name of a file within its artifact, with the folders of an artifact that is one."""
    own = f"artifacts/{entry.id}/"
    return file.path.removeprefix(own) if file.path.startswith(own) else PurePosixPath(file.path).name


def read_bundle(path: str | Path, trust: TrustPolicy | None = None) -> Bundle:
    """Open a bundle and check the digest of every file in it.

    `open_bundle` reads less, for a caller that uses only some of the files.

    Args:
        path: the directory, or a zip file of it.
        trust: who must have signed it, beside the policy in ``EDGEVISION_TRUST``.

    Raises:
        BundleError, TrustError: as `open_bundle`; or the content of a file is not what the manifest was
            written for.
    """
    bundle = open_bundle(path, trust)
    bundle.verify()
    return bundle


def open_bundle(path: str | Path, trust: TrustPolicy | None = None, *, check_trust: bool = True) -> Bundle:
    """Read a bundle's manifest and labels, and check that it has the files that it lists, and no others.

    `edgevision.load` opens a bundle this way, so that the artifacts it does not run are not read. The
    content of the other files is checked when they are read; `Bundle.verify` checks all.

    Args:
        path: the directory, or a zip file of it.
        trust: who must have signed it, beside the policy in ``EDGEVISION_TRUST``.
        check_trust: False for what does not use the bundle: showing and signing it.

    Raises:
        BundleError: `path` has no bundle, its manifest is damaged or of an unknown schema version, a file is
            missing, has another size, is a link or is not listed, or the labels are damaged.
        TrustError: there is a policy, and the bundle does not meet it, or is damaged.
    """
    path = one_path(path, "path")
    if path.is_symlink():  # which may point elsewhere before the last file is read
        path = Path(os.path.realpath(path))  # `resolve` raises a RuntimeError on a link to itself
    asked = policies(trust) if check_trust else ()
    with refusing(bool(asked)):
        files = files_of(path)
        text = files.read(MANIFEST, MOST_SETTINGS_BYTES)
        manifest, digest = read_manifest(text, str(path / MANIFEST))
        check_exact(files, manifest.files())
        signer = _signer(files, text, manifest, asked) if asked else None
        try:
            # Not splitlines, which also ends a label at other characters, and would shift all after it.
            labels = _read(files, manifest.labels).decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise BundleError(f"{path / manifest.labels.path}: is not UTF-8 text: {error}") from error
    return Bundle(path, manifest, tuple(labels) if labels != [""] else (), digest, signer, text)


def _digests(manifest: Manifest, content: bytes) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in manifest.files()} | {MANIFEST: _sha256(content)}


def _signer(files: BundleFiles, text: bytes, manifest: Manifest, asked: Sequence[TrustPolicy]) -> Signer:
    """Who signed a bundle, as the first of the policies has it, all of which it meets.

    The files themselves are not read: each is checked against the manifest's digest of it when it is.
    """
    from edgevision.bundle.signature import MOST_SIGNATURE_BYTES, check_signature

    if SIGNATURE not in files.sizes():
        raise unsigned(files.path)
    signature = files.read(SIGNATURE, MOST_SIGNATURE_BYTES)
    digests = _digests(manifest, text)
    signers = [check_signature(signature, digests, policy, str(files.path)) for policy in asked]
    return signers[0]


def file_entry(path: str, content: bytes) -> FileEntry:
    """The manifest's entry for a file with this content."""
    return FileEntry(path, _sha256(content), len(content))


def bundle_archive(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """The content of a bundle as one zip file, the same for the same bundle.

    Args:
        manifest: lists every file of `files`.
        files: path in the bundle -> content, for all files but the manifest.
    """
    return archive_of({MANIFEST: to_json(manifest).encode(), **files})


def archive_of(contents: Mapping[str, bytes]) -> bytes:
    """A zip file, the same for the same contents: path -> content."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def check_output(path: str | Path, force: bool) -> OutputState:
    """Check, before any long work, that a bundle can be written to `path`.

    Returns:
        What is at `path` now: `write_bundle` replaces nothing else.

    Raises:
        OutputError: its folder is missing or not writable, or it exists and either `force` is false, it is
            not a bundle, or it holds files that its manifest does not list.
    """
    path = Path(path)
    if path.suffix != ".evb":
        name = path.with_suffix(".evb") if path.name else "model.evb"
        raise OutputError(f"{path}: the name of a bundle ends in .evb; pass -o {name}")
    before = check_folder_of(path, "-o")
    if before:
        if not force:
            raise OutputError(f"{path}: already exists; pass --force to replace it")
        own = _own_files(path) if before.is_folder else None
        if own is None:
            raise OutputError(
                f"{path}: exists and is not a bundle, so it is not replaced; choose another name with -o"
            )
        foreign = sorted(files_below(path) - own)
        if foreign:
            raise OutputError(
                f"{path}: holds files that are no part of the bundle ({', '.join(foreign[:3])}), so it is "
                "not replaced; move them elsewhere, or choose another name with -o"
            )
    return before


def write_bundle(
    path: str | Path,
    manifest: Manifest,
    files: Mapping[str, bytes],
    force: bool = False,
    before: OutputState | None = None,
) -> None:
    """Write a bundle: into a temporary directory beside `path`, which then takes its place in one step.

    Args:
        path: the directory to create, ``NAME.evb``.
        manifest: lists every file of `files`.
        files: path in the bundle -> content, for all files but the manifest.
        force: replace an existing bundle, which stays intact until the new one is complete. Only files that
            its manifest lists are removed.
        before: what `check_output` found there, where that was called before long work: whatever was written
            since then is not replaced. By default it is called now.

    Raises:
        OutputError: it cannot be written, or another program wrote to `path` meanwhile. Nothing is left
            behind.
    """
    path = Path(path)
    if before is None:
        before = check_output(path, force)
    own = (_own_files(path) or set()) if before else set()
    write_folder(path, {**files, MANIFEST: to_json(manifest).encode()}, before, own)


def _own_files(path: Path) -> set[str] | None:
    """The names of a bundle's files, as its manifest lists them; `None` if there is no manifest to go by."""
    try:
        manifest = from_json(read_file_below(path, MANIFEST, MOST_SETTINGS_BYTES), str(path / MANIFEST))
    except FileNotFoundError:
        return None
    except (OSError, BundleError) as error:
        raise OutputError(
            f"{path}: its manifest cannot be read, so its files cannot be told from others, and it is "
            f"not replaced: {error}"
        ) from error
    return {entry.path for entry in manifest.files()} | {MANIFEST, SIGNATURE}


def _read(files: BundleFiles, entry: FileEntry) -> bytes:
    content = files.read(entry.path, MOST_MODEL_BYTES)
    if len(content) != entry.size_bytes:
        raise damaged(files.path, entry, f"{len(content)} bytes, expected {entry.size_bytes}")
    digest = _sha256(content)
    if digest != entry.sha256:
        raise damaged(files.path, entry, f"sha256 {digest[:12]}…, expected {entry.sha256[:12]}…")
    return content


def _sha256(content: bytes) -> str:
    import hashlib  # not at the top: it loads OpenSSL

    return hashlib.sha256(content).hexdigest()
