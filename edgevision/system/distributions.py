"""Installed distributions: those whose modules this process has imported, and what their metadata states."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

#: Longest text of a field ``License`` that is a name; others are the whole text of a licence.
_LONGEST_NAME = 60
_CLASSIFIER = "License :: "
_COPYLEFT = re.compile(r"\b(A?GPL|LGPL|MPL|EPL)|General Public|Mozilla Public|Eclipse Public", re.IGNORECASE)


def imported_distributions() -> list[metadata.Distribution]:
    """The distributions of which this process has imported a module, sorted by name."""
    owners = _owners()
    names: set[str] = set()
    for name, module in list(sys.modules.items()):
        candidates = set(owners.get(name.partition(".")[0], ()))
        if len(candidates) > 1:  # they share a namespace, such as `google`
            candidates = {each for each in candidates if _has_file(each, module)}
        names |= candidates
    found = {canonical(name): metadata.distribution(name) for name in names}
    return [found[name] for name in sorted(found)]


def _owners() -> dict[str, set[str]]:
    """Name of a module -> the distributions that install it."""
    owners = {module: set(names) for module, names in metadata.packages_distributions().items()}
    if sys.version_info < (3, 11):  # it knows only those that list their modules: numpy does not
        for distribution in metadata.distributions():
            for file in distribution.files or ():
                owners.setdefault(_module_of(file), set()).add(distribution.name)
    return owners


def _module_of(file: metadata.PackagePath) -> str:
    """The module that a file of a distribution belongs to."""
    return file.parts[0] if len(file.parts) > 1 else file.name.partition(".")[0]


def canonical(name: str) -> str:
    """The name of a distribution as indexes compare it: PEP 503."""
    return name.lower().replace("_", "-").replace(".", "-")


def imported_versions() -> dict[str, str]:
    """Name -> version of `imported_distributions`."""
    return {each.name: each.version for each in imported_distributions()}


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence that a distribution's metadata states: an SPDX expression, or names; empty for none.

    A classifier that names a copyleft licence counts beside the field: it is often of what a wheel contains.
    """
    if expression := stated(distribution, "License-Expression"):
        return expression
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in distribution.metadata.get_all("Classifier") or ()
        if text.startswith(_CLASSIFIER) and text.count(" :: ") > 1
    ]
    name = stated(distribution, "License").removeprefix("OSI Approved :: ")
    if name == "UNKNOWN" or not 0 < len(name) <= _LONGEST_NAME or "\n" in name:
        return " AND ".join(classifiers)
    return " AND ".join(
        [name, *(each for each in classifiers if is_copyleft(each) and not is_copyleft(name))]
    )


def is_copyleft(licence: str) -> bool:
    """True if a text names a licence that asks for its own terms for what is derived: GPL, LGPL, MPL, EPL."""
    return _COPYLEFT.search(licence) is not None


def stated(distribution: metadata.Distribution, field: str) -> str:
    """A field of a distribution's metadata; empty where it has none."""
    values = distribution.metadata.get_all(field) or [""]
    return str(values[0]).strip()


def _has_file(name: str, module: ModuleType | None) -> bool:
    path = getattr(module, "__file__", None)
    if path is None:
        return False
    of = metadata.distribution(name)
    return any(Path(str(of.locate_file(file))) == Path(path) for file in of.files or ())
