"""Measured speed of the precisions by architecture, for targets that this machine cannot time."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: ``benchmarks/latency_table.py`` writes it.
PATH = Path(__file__).with_name("latency_table.toml")

#: Kinds of networks, by their int8 artifact: all operations in int8, or some in float.
INTEGER, WITH_FLOAT = "integer", "with-float-operations"


@dataclass(frozen=True)
class LatencyRow:
    """The speed of the precisions for one kind of network on the CPU, with one backend.

    Attributes:
        architecture: of the processor, as in `edgevision.target.ARCHITECTURES`.
        backend: the backend's name.
        networks: the networks that were timed.
        machine: the processor, and what ran on it.
        ratios: precision -> CPU time of one inference divided by that of float32: the median of the networks.
    """

    architecture: str
    backend: str
    networks: tuple[str, ...]
    machine: str
    ratios: Mapping[str, float]


@cache
def latency_rows() -> Mapping[tuple[str, str, str], LatencyRow]:
    """(architecture, backend, kind of network) -> row, as the package carries them."""
    return rows_of(tomllib.loads(PATH.read_text(encoding="utf-8")))


def rows_of(document: Mapping[str, Any]) -> dict[tuple[str, str, str], LatencyRow]:
    """The rows of a table: architecture -> its ``machine``, and backend -> kind -> networks and ratios."""
    return {
        (architecture, backend, kind): LatencyRow(
            architecture, backend, tuple(row["networks"]), table["machine"], row["ratios"]
        )
        for architecture, table in document.items()
        for backend, kinds in table.items()
        if backend != "machine"
        for kind, row in kinds.items()
    }
