"""The models of a server by name and version, and the replacement of their bundles while it runs."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edgevision.errors import EdgeVisionError, OptionError
from edgevision.health import FAILED
from edgevision.serving.deployment import Deployment, opened
from edgevision.serving.settings import ServeSettings
from edgevision.system.log import info, warning
from edgevision.system.shown import shown
from edgevision.tasks.base import TaskModel

#: Loads a bundle.
Load = Callable[[Path], TaskModel]

_NAMED = re.compile(r"(?P<name>[^=:/\\]+)(?::(?P<version>[0-9]+))?=(?P<path>.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
#: What `edgevision install` names every bundle: its folder says more.
_INSTALLED = "model.evb"
#: What became of a replacement.
SWAPPED, REFUSED = "swapped", "refused"


class NamedBundle(NamedTuple):
    """A bundle that is to be served.

    Attributes:
        name, version: of the model, as requests have them.
        path: of the bundle.
    """

    name: str
    version: str
    path: Path


def named_bundle(text: str | Path) -> NamedBundle:
    """The bundle that ``[NAME[:VERSION]=]PATH`` stands for.

    Without a name it is called as its file is, or as the folder in which it is installed; the version is 1.

    Raises:
        OptionError: the name or version is not one that requests can have.
    """
    is_there = os.path.exists(text)  # noqa: PTH110 - False, too, for what cannot be a path
    match = None if is_there else _NAMED.fullmatch(str(text))
    path = Path(text) if match is None else Path(match["path"])
    name = None if match is None else match["name"]
    if name is None:
        installed = path.name == _INSTALLED and path.is_symlink()
        name = path.absolute().parent.name if installed else path.stem
    version = (match and match["version"]) or "1"
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise OptionError(
            f"{shown(str(text))}: expected a name of letters, digits, '.', '_' and '-', and a version of 1 "
            f"or more; write NAME=PATH or NAME:VERSION=PATH"
        )
    return NamedBundle(name, version, path)


class ServedModel:
    """A model at an address: the bundle at its path, and what takes its place.

    Args:
        bundle: name, version and path.
        load: loads a bundle.
        settings: limits.

    Attributes:
        bundle: as passed.
        current: what answers now.
        replacements: how often another bundle was `SWAPPED` in, and how often it was `REFUSED`.

    Raises:
        EdgeVisionError: the bundle cannot be loaded, or does not give its known answers.
    """

    def __init__(self, bundle: NamedBundle, load: Load, settings: ServeSettings) -> None:
        self.bundle = bundle
        self._load = load
        self._settings = settings
        self.replacements: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._seen = _identity(bundle.path)
        self.current = self._opened()

    def unready(self) -> str:
        """Why this model is not ready; empty if it is: its last inference gave the known answer."""
        health = self.current.model.health(check=False)
        return "" if health.usable else str(health)

    def failed(self) -> str:
        """Why this model must not answer; empty if it may: its last check did not fail."""
        health = self.current.model.health(check=False)
        return health.reason if health.state == FAILED else ""

    @property
    def batches(self) -> int:
        """Runs of the network for tensors, of all bundles so far."""
        return self._before["batches"] + self.current.queue.batches

    @property
    def rows(self) -> int:
        """Rows in these runs."""
        return self._before["rows"] + self.current.queue.rows

    @property
    def restarts(self) -> int:
        """How often the process of an isolated runtime was replaced."""
        return self._before["restarts"] + self.current.model.session.restarts

    def look(self) -> None:
        """Replace the bundle if another one lies at its path; one that cannot be used leaves this one."""
        found = _identity(self.bundle.path)
        if found in (None, self._seen):
            return
        self._seen = found
        try:
            following = self._opened()
        except Exception as error:  # also one that no runtime should raise: the next bundle may be a good one
            self.replacements[REFUSED] += 1
            told = error if isinstance(error, EdgeVisionError) else f"{type(error).__name__}: {error}"
            warning("%s: the bundle before it stays: %s", self.bundle.path, told)
            return
        before = self.current
        self._before = Counter(batches=self.batches, rows=self.rows, restarts=self.restarts)
        self.current = following
        self.replacements[SWAPPED] += 1
        info("%s: %s takes the place of %s", self.bundle.path, *(_digest(one) for one in (following, before)))
        # Its requests may take their time, and other models are looked at meanwhile.
        threading.Thread(
            target=before.close, args=[self._settings.request_s], name="edgevision-serve-end", daemon=True
        ).start()

    def close(self, timeout_s: float) -> None:
        """Finish the requests that were taken, within this time, and close the model."""
        self.current.close(timeout_s)

    def _opened(self) -> Deployment:
        # Not by the link, which may lead to another bundle while this one is read.
        return opened(self._load(Path(os.path.realpath(self.bundle.path))), self._settings)


class ServedModels:
    """All models of a server.

    Args:
        bundles: what is served.
        load: loads a bundle.
        settings: limits.

    Raises:
        OptionError: there is none, or two have the same name and version.
        EdgeVisionError: one cannot be loaded; the others are closed.
    """

    def __init__(self, bundles: Sequence[NamedBundle], load: Load, settings: ServeSettings) -> None:
        _check_unique(bundles)
        self._models: dict[str, dict[str, ServedModel]] = {}
        self._settings = settings
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None
        try:
            for bundle in bundles:
                versions = self._models.setdefault(bundle.name, {})
                versions[bundle.version] = ServedModel(bundle, load, settings)
        except BaseException:
            self.close(0)
            raise

    def find(self, name: str, version: str | None) -> ServedModel | None:
        """A model; without a version its highest one. `None` if there is none."""
        versions = self._models.get(name, {})
        if version is None:
            version = max(versions, key=int, default="")
        return versions.get(version)

    def versions(self, name: str) -> list[str]:
        """The versions of a model, in their order."""
        return sorted(self._models.get(name, {}), key=int)

    def all(self) -> list[ServedModel]:
        """All models."""
        return [model for versions in self._models.values() for model in versions.values()]

    def start(self) -> None:
        """Look from now on whether bundles are replaced."""
        if self._watch is None:
            self._watch = threading.Thread(target=self._look, name="edgevision-serve-watch", daemon=True)
            self._watch.start()

    def close(self, timeout_s: float) -> None:
        """Finish the requests that were taken, within this time, and close all models."""
        self._ended.set()
        end_s = time.monotonic() + timeout_s
        if self._watch is not None:
            self._watch.join(timeout_s)
        for model in self.all():
            model.close(max(0.0, end_s - time.monotonic()))

    def _look(self) -> None:
        while not self._ended.wait(self._settings.watch_s):
            for model in self.all():
                model.look()


def _check_unique(bundles: Iterable[NamedBundle]) -> None:
    counts = Counter((bundle.name, bundle.version) for bundle in bundles)
    if not counts:
        raise OptionError("expected one bundle or more")
    (name, version), count = counts.most_common(1)[0]
    if count > 1:
        raise OptionError(
            f"{count} bundles are named '{name}', version {version}; write NAME=PATH or NAME:VERSION=PATH"
        )


def _identity(path: Path) -> tuple[object, ...] | None:
    """Facts that change when another bundle lies at a path; `None` if there is none at this moment."""
    real = os.path.realpath(path)
    try:
        facts = Path(real).stat()
    except OSError:
        return None
    return real, facts.st_dev, facts.st_ino, facts.st_mtime_ns


def _digest(deployment: Deployment) -> str:
    return deployment.model.bundle_digest or "a bare file"
