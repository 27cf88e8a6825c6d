"""Measured speed of the precisions by architecture: what is known where, or before, candidates are timed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from edgevision.artifact import Artifact
from edgevision.system.reading import MOST_SETTINGS_BYTES, read_text

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
        ratios: precision -> CPU time of one inference divided by that of float32, of each of the networks.
    """

    architecture: str
    backend: str
    networks: tuple[str, ...]
    machine: str
    ratios: Mapping[str, tuple[float, ...]]

    def ratio(self, precision: str) -> float:
        """The median ratio of a precision."""
        return median(self.ratios[precision])

    def never_slower(self, precision: str) -> bool:
        """True if no network of this kind is slower at a precision than at float32."""
        return precision in self.ratios and max(self.ratios[precision]) <= 1.0


def kind_of(artifact: Artifact) -> str:
    """The kind of a network, by its int8 artifact."""
    record = artifact.quantization
    return WITH_FLOAT if record is not None and record.float_operations else INTEGER


@cache
def latency_rows() -> Mapping[tuple[str, str, str], LatencyRow]:
    """(architecture, backend, kind of network) -> row, as the package carries them."""
    return rows_of(tomllib.loads(read_text(PATH, MOST_SETTINGS_BYTES)))


def rows_of(document: Mapping[str, Any]) -> dict[tuple[str, str, str], LatencyRow]:
    """The rows of a table: architecture -> its ``machine``, and backend -> kind -> networks and ratios."""
    return {
        (architecture, backend, kind): LatencyRow(
            architecture=architecture,
            backend=backend,
            networks=tuple(row["networks"]),
            machine=table["machine"],
            ratios={precision: tuple(values) for precision, values in row["ratios"].items()},
        )
        for architecture, table in document.items()
        for backend, kinds in table.items()
        if backend != "machine"
        for kind, row in kinds.items()
    }
