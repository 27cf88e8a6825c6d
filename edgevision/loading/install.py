"""Bundles on a device, one after the other: each is checked before it takes the place of the one before it.

    DIR/model.evb               a link to one of the versions: the path for `edgevision.load`
    DIR/versions/DIGEST.evb     a version: a bundle, named by the beginning of its digest
    DIR/versions/DIGEST.kept    what was found out about it here, for a device that cannot write later on, and
                                the version that it replaced

The link is all that changes when a bundle takes another's place, in one step of the file system. So whenever
the power is cut, it leads to the old version or to the new one, and both are complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgevision.backend import SessionSettings
from edgevision.bundle.files import files_of
from edgevision.bundle.layout import MANIFEST, SIGNATURE
from edgevision.bundle.signature import MOST_SIGNATURE_BYTES
from edgevision.bundle.storage import Bundle, read_bundle
from edgevision.bundle.trust import TrustPolicy
from edgevision.errors import BundleError, OptionError, TrustError
from edgevision.loading.choice import Decision, Request, decide_unmeasured
from edgevision.loading.first_load import check_first_load
from edgevision.loading.kept import folder_beside
from edgevision.loading.requests import request_of
from edgevision.plugins import registry
from edgevision.system.arguments import one_path
from edgevision.system.files import (
    ABSENT,
    alone_in,
    make_folder,
    remove_tree,
    write_file,
    write_folder,
    write_link,
)
from edgevision.system.reading import MOST_SETTINGS_BYTES, read_file
from edgevision.system.strict_json import JsonError, read_json

_LINK, _VERSIONS, _RECORD = "model.evb", "versions", "installed.json"
#: Hex digits of a bundle's digest in the name of its version.
_DIGITS = 16


@dataclass(frozen=True)
class Installed:
    """A bundle that is installed on this device.

    Attributes:
        path: for `edgevision.load`; it stays the same for every bundle that is installed there.
        digest: of the bundle.
        previous: beginning of the digest of the bundle that it replaced, which is kept; `None` for none.
        artifact, backend: what `load` runs with the same request.
    """

    path: Path
    digest: str
    previous: str | None
    artifact: str
    backend: str


def install(  # noqa: PLR0913 - all but the first two by name, as of `load`
    bundle: str | Path,
    folder: str | Path,
    *,
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    settings: SessionSettings | None = None,
    tune: bool | None = None,
    trust: TrustPolicy | None = None,
) -> Installed:
    """Install a bundle on this device, or leave what is installed as it is.

    Every file and the signature are checked; the bundle is copied, and checked once more where it now lies;
    what `load` will run is opened and must give its known answers in a child process. Then it takes the place
    of the bundle before it, in one step, and that one is kept for `roll_back`. Whenever the power is cut,
    ``model.evb`` in the folder is the old bundle or the new one. What was found out is kept beside the
    bundle, so that `load` need not write on this device.

    Args:
        bundle: a bundle, a folder or zip file.
        folder: where bundles are installed; created if it does not exist. Pass ``model.evb`` in it to `load`.
        backend, device, precision, threads, settings, tune: as for `load` later on: they decide what is
            checked.
        trust: as for `load`.

    Raises:
        BundleError: the bundle is damaged.
        TrustError: it does not meet a trust policy.
        ArtifactError, InferenceError, ProcessError: it does not open here, gives other answers, crashes, or
            hangs.
        OptionError, PluginError, MissingRuntimeError, DeviceError: as `load`.
        OutputError: the folder cannot be written to, or another process installs there.
    """
    request = request_of(backend, device, precision, threads, settings, tune)
    source = read_bundle(one_path(bundle, "bundle"), trust)
    place = _Place(one_path(folder, "folder"))
    make_folder(place.versions)
    with alone_in(place.folder):
        current = place.current()
        version = source.digest[:_DIGITS]
        with place.added(source, version, trust) as added:
            decision = _checked(added, request)
            previous = place.previous_of(version) if version == current else current
            place.record(version, previous)
            place.switch(version)
        place.remove_all_but(version, previous)
        return place.installed(added, previous, decision)


def roll_back(
    folder: str | Path,
    *,
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    settings: SessionSettings | None = None,
    tune: bool | None = None,
    trust: TrustPolicy | None = None,
) -> Installed:
    """Return to the bundle that was installed before, after the same checks as `install`.

    Args:
        folder: as for `install`.
        backend, device, precision, threads, settings, tune, trust: likewise.

    Raises:
        OptionError: no bundle is installed there, or none was before it.
        EdgeVisionError: as `install`; then the present bundle stays.
    """
    request = request_of(backend, device, precision, threads, settings, tune)
    place = _Place(one_path(folder, "folder"))
    if place.current() is None:
        raise OptionError(
            f"{place.folder}: no bundle is installed there; run edgevision install BUNDLE {place.folder}"
        )
    with alone_in(place.folder):
        previous = place.previous_of(place.current())
        if previous is None:
            raise OptionError(
                f"{place.folder}: no earlier bundle is kept there; run edgevision install BUNDLE "
                f"{place.folder}"
            )
        kept = read_bundle(place.version(previous), trust)
        decision = _checked(kept, request)
        place.switch(previous)
        return place.installed(kept, place.previous_of(previous), decision)


def _checked(bundle: Bundle, request: Request) -> Decision:
    plugins = registry()
    decision = decide_unmeasured(bundle, request, plugins)
    return check_first_load(bundle, request, plugins, decision, folder_beside(bundle.path))


class _Place:
    """A folder with installed bundles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = folder / _VERSIONS

    def version(self, name: str) -> Path:
        """The folder of a version."""
        return self.versions / f"{name}.evb"

    def current(self) -> str | None:
        """The version that the link leads to; `None` if nothing is installed."""
        link = self.folder / _LINK
        return link.readlink().stem if link.is_symlink() else None

    def previous_of(self, name: str | None) -> str | None:
        """The version that this one replaced, if it is still there."""
        if name is None:
            return None
        try:
            document = read_json(read_file(folder_beside(self.version(name)) / _RECORD, MOST_SETTINGS_BYTES))
            previous = document["previous"]
        except (OSError, JsonError, KeyError, TypeError):
            return None
        return previous if isinstance(previous, str) and self.version(previous).is_dir() else None

    @contextmanager
    def added(self, source: Bundle, name: str, trust: TrustPolicy | None) -> Iterator[Bundle]:
        """A copy of a bundle as one of the versions, which is removed again if the block fails."""
        path = self.version(name)
        was_there = name in (self.current(), self.previous_of(self.current()))
        if not was_there or not _is_whole(path, source, trust):
            contents = {entry.path: source.read(entry) for entry in source.manifest.files()}
            contents |= _own_files(source)
            remove_tree(path)
            write_folder(path, contents, ABSENT, ())
        try:
            yield read_bundle(path, trust)
        except BaseException:
            if not was_there and self.current() != name:
                remove_tree(path)
                remove_tree(folder_beside(path))
            raise

    def record(self, name: str, previous: str | None) -> None:
        """Keep which version another one replaces."""
        beside = folder_beside(self.version(name))
        make_folder(beside)
        write_file(beside / _RECORD, (json.dumps({"previous": previous}) + "\n").encode())

    def switch(self, name: str) -> None:
        """Let the link lead to a version."""
        write_link(self.folder / _LINK, f"{_VERSIONS}/{name}.evb")

    def remove_all_but(self, *names: str | None) -> None:
        """Remove every other version, those of installations that were cut off included."""
        for path in self.versions.iterdir():
            if path.name.lstrip(".").partition(".")[0] not in names:
                remove_tree(path)

    def installed(self, bundle: Bundle, previous: str | None, decision: Decision) -> Installed:
        """The result, after `switch`."""
        entry, backend, _ = decision.choice
        return Installed(self.folder / _LINK, bundle.digest, previous, entry.id, backend.name)


def _is_whole(path: Path, source: Bundle, trust: TrustPolicy | None) -> bool:
    try:
        return read_bundle(path, trust).digests() == source.digests()
    except (BundleError, TrustError):
        return False


def _own_files(bundle: Bundle) -> dict[str, bytes]:
    """The manifest, and the signature if there is one: the files that no manifest lists."""
    files = files_of(bundle.path)
    signature = {SIGNATURE: files.read(SIGNATURE, MOST_SIGNATURE_BYTES)} if SIGNATURE in files.sizes() else {}
    return {**signature, MANIFEST: bundle.manifest_content}
