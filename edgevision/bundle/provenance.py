"""How a bundle or its evidence came to be: command, settings, versions, and digests of all inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevision.errors import MissingPluginError


@dataclass(frozen=True)
class InputRecord:
    """Record of one input of a run.

    Attributes:
        role: what it was for, such as ``source``, ``evaluation`` or ``labels``.
        name: its base name, or what it is called.
        sha256: digest of its content, in hex: of the file; of all images of a set in their order; or of a
            folder, as its role computes it.
    """

    role: str
    name: str
    sha256: str


@dataclass(frozen=True)
class PluginRecord:
    """A plugin that took part in a run.

    Attributes:
        role: ``reader``, ``converter``, ``backend``, ``decoder`` or ``task``.
        name: of the item that took part, such as ``ncnn``.
        package: the distribution that provides it; empty if the process itself registered it.
        version: of that distribution.
    """

    role: str
    name: str
    package: str
    version: str

    @property
    def install_command(self) -> str:
        """The command that installs it; empty if no package provides it."""
        return f"pip install {self.package}=={self.version}" if self.package and self.version else ""


@dataclass(frozen=True)
class Provenance:
    """Record of a run that wrote a bundle.

    Attributes:
        edgevision: version of the package.
        revision: commit of its source, with ``+changes`` if it was modified; `None` where it is not known, as
            of a release from a package index.
        command: the words of the command line, with base names in place of paths; empty where another program
            called the function.
        author: who ran it, if they said so; `None` otherwise: nothing asks the system.
        settings: every setting with its value, the defaults too, as JSON has it.
        libraries: distribution -> version, of all that took part.
        inputs: what was read.
        plugins: the plugins that took part; empty in records of earlier releases.
    """

    edgevision: str
    revision: str | None = None
    command: tuple[str, ...] = ()
    author: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[InputRecord, ...] = ()
    plugins: tuple[PluginRecord, ...] = ()


def with_install_command(
    error: MissingPluginError, provenance: Provenance | None, role: str, name: str
) -> MissingPluginError:
    """The error for a plugin that is missing, with the command that installs the package that was used.

    Args:
        error: says what is missing.
        provenance: of the bundle that needs it; `None` if it has none.
        role, name: as in `PluginRecord`.
    """
    for record in () if provenance is None else provenance.plugins:
        if (record.role, record.name) == (role, name) and record.install_command:
            return MissingPluginError(f"{error}; run: {record.install_command}")
    return error


def provenance_from(row: Any) -> Provenance | None:
    """A record from its JSON document; `None` for `None`, which documents of earlier releases have.

    Raises:
        ValueError: it has other fields, or values of other types.
    """
    if row is None:
        return None
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    unknown = set(row) - set(Provenance.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown field '{min(unknown)}'")
    libraries = _object(row, "libraries")
    return Provenance(
        edgevision=_text(row, "edgevision"),
        revision=None if row.get("revision") is None else _text(row, "revision"),
        command=tuple(_text({"command": word}, "command") for word in _list(row, "command")),
        author=None if row.get("author") is None else _text(row, "author"),
        settings=_object(row, "settings"),
        libraries={name: _text(libraries, name) for name in libraries},
        inputs=tuple(map(_input, _list(row, "inputs"))),
        plugins=tuple(map(_plugin, _list(row, "plugins"))),
    )


def _input(row: Any) -> InputRecord:
    if not isinstance(row, dict) or set(row) != set(InputRecord.__dataclass_fields__):
        raise ValueError("field 'inputs': expected role, name and sha256 of each")
    return InputRecord(*(_text(row, name) for name in ("role", "name", "sha256")))


def _plugin(row: Any) -> PluginRecord:
    if not isinstance(row, dict) or set(row) != set(PluginRecord.__dataclass_fields__):
        raise ValueError("field 'plugins': expected role, name, package and version of each")
    return PluginRecord(*(_text(row, name) for name in ("role", "name", "package", "version")))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"field '{name}': expected a text, got {type(value).__name__}")
    return value


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    value = row.get(name, [])
    if not isinstance(value, list):
        raise ValueError(f"field '{name}': expected a list, got {type(value).__name__}")
    return value


def _object(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = row.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"field '{name}': expected an object, got {type(value).__name__}")
    return value
