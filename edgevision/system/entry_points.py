"""Finds the entry points of a group, as `importlib.metadata` does, in a fraction of its time.

Importing that module loads the e-mail parser, sockets and more: a tenth of the start of a small
classifier. So where packages lie in plain folders, which is nearly everywhere, their
``entry_points.txt`` are read here; elsewhere (zips, other finders) `importlib.metadata` is used.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any, NamedTuple, Protocol

from edgevision.system.reading import MOST_SETTINGS_BYTES, read_text

_METADATA = (".dist-info", ".egg-info")


class EntryPoint(Protocol):
    """A plugin by name, as `importlib.metadata.EntryPoint` has it."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    def load(self) -> Any:
        """Import the module or attribute that it names."""
        ...


class Distribution(NamedTuple):
    """The package that an entry point comes from.

    Attributes:
        name: as its metadata folder has it.
        version: empty where the folder's name has none.
    """

    name: str
    version: str


class TextEntryPoint(NamedTuple):
    """``name = value`` of an ``entry_points.txt``; the value is ``module`` or ``module:attribute``."""

    name: str
    value: str
    dist: Distribution = Distribution("", "")

    def load(self) -> Any:
        module, _, attributes = self.value.partition("[")[0].partition(":")
        loaded: Any = import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            loaded = getattr(loaded, attribute)
        return loaded


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of `group` in all packages that can be imported.

    Of a package that is installed twice, the first on ``sys.path`` counts.
    """
    if _only_folders():
        texts = _texts(tuple(sys.path))
        return [point for dist, text in texts if group in text for point in _points(text, group, dist)]
    from importlib import metadata

    return list(metadata.entry_points(group=group))


def installed_packages() -> list[str]:
    """Names of the metadata folders of all packages, such as ``numpy-2.4.6.dist-info``.

    They change with every version, and are listed without importing anything.
    """
    names = {name for folder in sys.path for name in _listed(folder or ".") if name.endswith(_METADATA)}
    return sorted(names)


def _only_folders() -> bool:
    finders = [finder for finder in sys.meta_path if hasattr(finder, "find_distributions")]
    return finders == [PathFinder] and not any(map(os.path.isfile, sys.path))


@cache
def _texts(folders: tuple[str, ...]) -> list[tuple[Distribution, str]]:
    """Every package that has an ``entry_points.txt``, and its content: read once for all groups."""
    texts: list[tuple[Distribution, str]] = []
    seen: set[str] = set()
    for folder in folders:
        for name in _listed(folder or "."):
            if not name.endswith(_METADATA):
                continue
            written, _, version = name.rpartition(".")[0].partition("-")
            package = re.sub(r"[-_.]+", "_", written).lower()
            if package in seen:
                continue
            seen.add(package)
            path = os.path.join(folder, name, "entry_points.txt")  # noqa: PTH118 - of some hundred packages
            if not os.path.exists(path):  # noqa: PTH110 - most have none
                continue
            try:
                text = read_text(path, MOST_SETTINGS_BYTES)
            except OSError:
                continue
            # Folders of an egg have the version of Python too: edgevision-0.1.0-py3.11.egg-info.
            texts.append((Distribution(written, version.partition("-")[0]), text))
    return texts


@cache
def _listed(folder: str) -> list[str]:
    """The names in a folder, as they were when they were first needed: both functions above look there."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:  # the folder does not exist
        return []


def _points(text: str, group: str, dist: Distribution) -> Iterator[TextEntryPoint]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == group and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield TextEntryPoint(name.strip(), value.strip(), dist)
