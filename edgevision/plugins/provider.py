"""The identity of a plugin: its distribution, the version of that, and its entry point."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from edgevision._version import __version__
from edgevision.system.entry_points import EntryPoint

#: The distribution whose plugins have the bare names.
OWN = "edgevision"


class Provider(NamedTuple):
    """Where a plugin comes from.

    Attributes:
        distribution: name of the installed package, in the form of the package index, such as
            ``edgevision-ncnn``; empty for a plugin that this process registered.
        version: of the package; empty where it states none.
        entry_point: name of the entry point.
        value: what the entry point names: ``module`` or ``module:attribute``.
    """

    distribution: str
    version: str
    entry_point: str
    value: str = ""

    @property
    def is_own(self) -> bool:
        """True for EdgeVision's own plugins."""
        return self.distribution == OWN

    @property
    def package(self) -> str:
        """The package with its version, for people."""
        if not self.distribution:
            return "registered in this process"
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def requirement(self) -> str:
        """The argument for pip, such as ``edgevision-ncnn==1.0``; empty if this process registered it."""
        return f"{self.distribution}=={self.version}" if self.version else self.distribution

    def qualified(self, name: str) -> str:
        """The name that reaches an item of this plugin whatever else is installed: ``distribution:name``."""
        return f"{self.distribution or self.entry_point}:{name}"

    def __str__(self) -> str:
        return f"plugin '{self.entry_point}' ({self.package})"


def provider_of(point: EntryPoint) -> Provider:
    """The identity that an entry point states, of this package's or of `importlib.metadata`'s kind."""
    found: Any = getattr(point, "dist", None)
    name = getattr(found, "name", "") or ""
    version = getattr(found, "version", "") or ""
    if normalized(name) == OWN and not version:  # the metadata of a checkout has none in its name
        version = __version__
    return Provider(normalized(name), str(version), point.name, point.value)


def normalized(name: str) -> str:
    """The name of a distribution as the package index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()
