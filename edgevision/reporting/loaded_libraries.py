"""The libraries that a bundle loads on this machine: found in a process that loads it, and nothing else."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module, metadata
from pathlib import Path

import numpy as np

from edgevision.backend import SessionSettings
from edgevision.bundle.storage import open_bundle
from edgevision.execution.messages import Message
from edgevision.execution.worker import Worker
from edgevision.loading.choice import Request, choose
from edgevision.loading.load import load
from edgevision.plugins import registry
from edgevision.system.distributions import canonical, imported_distributions, licence_of, stated
from edgevision.system.reading import file_sha256, read_system_file

#: Seconds for opening the bundle and one inference, which a GPU may compile for.
TIMEOUT_S = 300.0
#: Labels of project URLs under which the faults of a library are published.
_ANOMALIES = ("issue", "tracker", "bug")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PEOPLE = ("Author", "Maintainer", "Author-email", "Maintainer-email")
_PYTHON = "Python"
_STDLIB = Path(platform.__file__).resolve().parent


@dataclass(frozen=True)
class Library:
    """A distribution, or a shared object of the system, that was loaded.

    Attributes:
        name: of the distribution, or the file name of the shared object.
        version: empty if it states none.
        licence: SPDX expression or name; empty if it states none.
        licence_is_spdx: True if it is an expression.
        manufacturer: its author or maintainer, as it states it; empty if it states none.
        home, anomalies: where it is published, and where its faults are; empty if it states none.
        requirement: what this package requires of it, such as ``numpy>=1.23``; empty if another library does.
        files: file name -> SHA-256 of each of its shared objects in the memory of the process.
        system: True for a shared object that no distribution brought.
    """

    name: str
    version: str = ""
    licence: str = ""
    manufacturer: str = ""
    home: str = ""
    anomalies: str = ""
    requirement: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    system: bool = False
    licence_is_spdx: bool = False

    @property
    def on_index(self) -> bool:
        """True for a distribution, which a package index has under this name."""
        return not self.system and self.name != _PYTHON


@dataclass(frozen=True)
class Loaded:
    """Record of one load of a bundle.

    Attributes:
        artifact: id of the artifact that ran.
        backend, device: where it ran.
        libraries: sorted by name, those of the system last.
    """

    artifact: str
    backend: str
    device: str
    libraries: tuple[Library, ...]


def loaded_libraries(
    bundle: Path, backend: str | None = None, device: str | None = None, precision: str | None = None
) -> Loaded:
    """Load a bundle in a process of its own, run it once on zeros, and list what that process has loaded.

    Args:
        bundle: the bundle.
        backend, device, precision: as for `edgevision.load`; by default the first artifact that runs here.

    Raises:
        EdgeVisionError: as `edgevision.load`.
        ProcessError: the runtime ended the process, or timed out.
    """
    request = {"bundle": str(bundle.resolve()), "backend": backend, "device": device, "precision": precision}
    with Worker() as worker:
        answer = worker.ask(_load, Message(request), what=str(bundle), timeout_s=TIMEOUT_S).fields
    return Loaded(
        str(answer["artifact"]),
        str(answer["backend"]),
        str(answer["device"]),
        tuple(Library(**row) for row in answer["libraries"]),
    )


def _load(request: Message) -> Message:
    """The job of the worker."""
    fields = request.fields
    bundle, precision = open_bundle(fields["bundle"]), fields["precision"]
    settings = SessionSettings(device=fields["device"])
    choice = choose(bundle, Request(fields["backend"], precision, settings, tune=False), registry())
    names = choice.backend.name, choice.settings.device
    with load(bundle.path, *names, precision=choice.entry.precision, tune=False) as model:
        session = model.session
        session.run({spec.name: np.zeros(spec.with_batch(1), spec.dtype) for spec in session.inputs})
        import_module("cv2")  # decodes images and resizes them
        ran = {"artifact": choice.entry.id, "backend": session.backend, "device": session.device}
        return Message({**ran, "libraries": [asdict(each) for each in _libraries()]})


def _libraries() -> Iterator[Library]:
    loaded = _shared_objects()
    owner_of = _owners()
    imported = {canonical(each.name): each for each in imported_distributions()}
    for name in {owner_of[path] for path in loaded if path in owner_of} - set(imported):
        imported[name] = metadata.distribution(name)  # a runtime may open the libraries of another one
    required = _requirements()
    for name in sorted(imported):
        own = [path for path in loaded if owner_of.get(path) == name]
        yield _library(imported[name], required.get(name, ""), own)
    rest = [path for path in loaded if path not in owner_of]
    of_python = [path for path in rest if _STDLIB in path.parents or path.name.startswith("libpython")]
    yield Library(
        *(_PYTHON, platform.python_version(), "PSF-2.0", "Python Software Foundation"),
        *("https://www.python.org", "https://github.com/python/cpython/issues"),
        files=_digests(of_python),
        licence_is_spdx=True,
    )
    for path in rest:
        if path not in of_python:
            yield Library(path.name, files=_digests([path]), system=True)


def _shared_objects() -> list[Path]:
    """The shared objects in the memory of this process; of its modules, where the system does not say."""
    mapped = {line.split(maxsplit=5)[-1] for line in read_system_file("/proc/self/maps").splitlines()}
    paths = {Path(name) for name in mapped if name.startswith("/")}
    paths |= {Path(file) for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
    return sorted({path.resolve() for path in paths if _is_shared_object(path) and path.is_file()})


def _is_shared_object(path: Path) -> bool:
    return ".so" in path.suffixes or path.suffix in (".pyd", ".dylib", ".dll")


def _owners() -> dict[Path, str]:
    """Shared object of an installed distribution -> the canonical name of that distribution."""
    return {
        Path(str(each.locate_file(file))).resolve(): canonical(each.name)
        for each in metadata.distributions()
        for file in each.files or ()
        if _is_shared_object(Path(file))
    }


def _requirements() -> dict[str, str]:
    """Canonical name of a distribution -> what this package requires of it, its extras last."""
    rows = reversed(metadata.requires("edgevision") or [])
    found = ((_NAME.match(row), row.partition(";")[0].strip()) for row in rows)
    return {canonical(match[0]): text for match, text in found if match and "[" not in text}


def _library(distribution: metadata.Distribution, requirement: str, files: Iterable[Path]) -> Library:
    urls = dict(_url(text) for text in distribution.metadata.get_all("Project-URL") or ())
    people = (stated(distribution, name) for name in _PEOPLE)
    return Library(
        name=distribution.name,
        version=distribution.version,
        licence=licence_of(distribution),
        licence_is_spdx=bool(stated(distribution, "License-Expression")),
        manufacturer=next(filter(None, people), ""),
        home=stated(distribution, "Home-page") or next(iter(urls.values()), ""),
        anomalies=next((url for label, url in urls.items() if any(word in label for word in _ANOMALIES)), ""),
        requirement=requirement,
        files=_digests(files),
    )


def _url(text: str) -> tuple[str, str]:
    label, _, url = text.partition(",")
    return label.strip().lower(), url.strip()


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in paths}
