"""How a bundle or its evidence came to be: command, settings, versions, and digests of all inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
    """

    edgevision: str
    revision: str | None = None
    command: tuple[str, ...] = ()
    author: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[InputRecord, ...] = ()


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
    )


def _input(row: Any) -> InputRecord:
    if not isinstance(row, dict) or set(row) != set(InputRecord.__dataclass_fields__):
        raise ValueError("field 'inputs': expected role, name and sha256 of each")
    return InputRecord(*(_text(row, name) for name in ("role", "name", "sha256")))


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
