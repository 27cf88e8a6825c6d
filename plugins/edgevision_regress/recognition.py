"""The description of a regression network, from its outputs and what its caller states."""

from __future__ import annotations

from typing import Any

from edgevision.tasks.api import MissingOptionError, NetworkFacts, stated_output
from edgevision_regress.description import RegressTask
from edgevision_regress.model import value_count
from edgevision_regress.truth import read_columns


def described(network: NetworkFacts) -> RegressTask:
    """The description of a network.

    Raises:
        MissingOptionError: the names or the ranges of its values are not stated.
        OptionError: an option contradicts the network.
        InputError: the ground truth cannot be read.
    """
    options = network.options.task_options
    spec = stated_output(network.outputs, network.options.output, "the values")
    truth = network.options.truth
    columns, rows = ([], {}) if truth is None else read_columns(truth)
    names = _listed(options.get("names")) or columns
    if not names:
        count = value_count(spec)
        raise MissingOptionError(
            network.where,
            f"output '{spec.name}' has {count} values without names; pass --task-option "
            "names='[\"age\"]', or --truth FILE.csv, whose columns have them",
        )
    units = _listed(options.get("units")) or [""] * len(names)
    ranges = options.get("ranges") or [_range_of(name, columns, rows, network.where) for name in names]
    return RegressTask(spec.name, tuple(names), tuple(units), tuple(map(_pair, ranges)))


def _range_of(name: str, columns: list[str], rows: dict[str, list[str]], where: str) -> tuple[float, float]:
    """The least and the greatest value in the ground truth."""
    if name in columns:
        place = columns.index(name)
        values = [float(row[place]) for row in rows.values()]
        if values and min(values) < max(values):
            return min(values), max(values)
    raise MissingOptionError(
        where, f"the range of the value '{name}' is not known; pass --task-option ranges='[[0, 100]]'"
    )


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value
